package dscp

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestAccessCategory has RFC 8325's figure 1, as updated, for all code points.
func TestAccessCategory(t *testing.T) {
	t.Parallel()
	type row struct {
		up UserPriority
		ac AccessCategory
	}
	figure := map[CodePoint]row{
		CS7: {7, Voice}, CS6: {7, Voice},
		EF: {6, Voice}, VoiceAdmit: {6, Voice},
		CS5:  {5, Video},
		AF43: {4, Video}, AF42: {4, Video}, AF41: {4, Video},
		CS4:  {4, Video},
		AF33: {4, Video}, AF32: {4, Video}, AF31: {4, Video},
		CS3:  {4, Video},
		AF23: {3, BestEffort}, AF22: {3, BestEffort}, AF21: {3, BestEffort},
		NQB:  {0, BestEffort},
		CS2:  {0, BestEffort},
		AF13: {0, BestEffort}, AF12: {0, BestEffort}, AF11: {0, BestEffort},
		DF:  {0, BestEffort},
		CS1: {1, Background},
		LE:  {1, Background},
	}
	for cp := range CodePoint(64) {
		want := figure[cp] // what is not in use is 0, AC_BE
		assert.Equal(t, want.up, cp.UserPriority(), "%v", cp)
		assert.Equal(t, want.ac, cp.AccessCategory(), "%v", cp)
	}
	assert.Len(t, figure, 24, "the registry")
}

func TestUserPriorityAccessCategory(t *testing.T) {
	t.Parallel()
	for up, want := range []string{"AC_BE", "AC_BK", "AC_BK", "AC_BE", "AC_VI", "AC_VI", "AC_VO", "AC_VO", "AC_BE", "AC_BK"} {
		assert.Equal(t, want, UserPriority(up).AccessCategory().String(), "%d", up)
	}
	assert.Equal(t, "AccessCategory(4)", AccessCategory(4).String())
	assert.Equal(t, Background, UserPriority(AF21.Precedence()).AccessCategory(), "by the upper three bits")
}
