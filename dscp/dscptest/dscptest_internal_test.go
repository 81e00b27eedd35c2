package dscptest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestCIFailsOnlyOnLinux is about CI runners with systems on which no box can run.
func TestCIFailsOnlyOnLinux(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", nil, ""},
		{"linux", map[string]string{"CI": "true"}, "CI"},
		{"darwin", map[string]string{"CI": "true"}, ""},
		{"windows", map[string]string{"CI": "1"}, ""},
		{"darwin", map[string]string{"CI": "1", "DSCPTEST_REQUIRE": "1"}, "DSCPTEST_REQUIRE"},
		{"linux", map[string]string{"DSCPTEST_REQUIRE": "1"}, "DSCPTEST_REQUIRE"},
	} {
		assert.Equal(t, tt.want, mustRun(tt.goos, func(name string) string { return tt.env[name] }), "%v", tt)
	}
}
