//go:build unix

package tos

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestAppendControl appends each message to another one and reads both back.
func TestAppendControl(t *testing.T) {
	t.Parallel()
	for _, o := range Both {
		if Host.MessageValue[o] == 0 {
			continue
		}
		for octet := range 256 {
			b := AppendControl(AppendControl(nil, IPv6TClass, 1), o, uint8(octet))
			msgs, err := unix.ParseSocketControlMessage(b)
			require.NoError(t, err)
			require.Len(t, msgs, 2)
			got, sets := optionOf(int(msgs[1].Header.Level), int(msgs[1].Header.Type))
			assert.True(t, sets)
			assert.Equal(t, o, got)
			value, ok := octetIn(msgs[1].Data)
			assert.True(t, ok)
			assert.EqualValues(t, octet, value)
		}
	}
}
