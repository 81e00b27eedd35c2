package tos

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestHeaderOctet checks that only the version in the header decides.
func TestHeaderOctet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header []byte
		octet  uint8
		ok     bool
	}{
		{[]byte{0x45, 0x4a}, 0x4a, true},
		{[]byte{0x4f, 0xff, 0x60}, 0xff, true},
		{[]byte{0x64, 0xa0}, 0x4a, true},
		{[]byte{0x6f, 0xff}, 0xff, true},
		{[]byte{0x60, 0x0f}, 0x00, true}, // the flow label is not the Traffic Class
		{[]byte{0x55, 0x4a}, 0, false},
		{[]byte{0x00, 0x48}, 0, false},
		{[]byte{0x45}, 0, false},
		{nil, 0, false},
	} {
		octet, ok := HeaderOctet(tt.header)
		assert.Equal(t, tt.ok, ok, "% x", tt.header)
		assert.Equal(t, tt.octet, octet, "% x", tt.header)
	}
}
