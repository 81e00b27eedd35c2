//go:build unix

package tos

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// message returns a control message with the value data.
func message(level, typ int, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = int32(level), int32(typ)
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

// number returns the value of a control message for an int.
func number(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func TestRewriteControl(t *testing.T) {
	t.Parallel()
	errRefused := errors.New("refused")
	type asked struct {
		o     Option
		octet uint8
	}
	ttl := message(unix.IPPROTO_IP, unix.IP_TTL, number(64)...)
	tos := func(data ...byte) []byte { return message(unix.IPPROTO_IP, unix.IP_TOS, data...) }
	tclass := func(v uint32) []byte { return message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, number(v)...) }
	for name, tt := range map[string]struct {
		oob   []byte
		want  []byte // oob with every octet 0xb9
		asked []asked
	}{
		"nothing":             {nil, nil, nil},
		"padding":             {[]byte{0, 0, 0}, []byte{0, 0, 0}, nil},
		"another message":     {ttl, ttl, nil},
		"a byte":              {tos(0x02), tos(0xb9), []asked{{IPv4TOS, 0x02}}},
		"an int":              {tos(number(0x02)...), tos(number(0xb9)...), []asked{{IPv4TOS, 0x02}}},
		"a Traffic Class":     {tclass(0x4a), tclass(0xb9), []asked{{IPv6TClass, 0x4a}}},
		"-1, which is 0xff":   {tclass(0xffffffff), tclass(0xb9), []asked{{IPv6TClass, 0xff}}},
		"no octet":            {tclass(0x100), tclass(0x100), nil},
		"no value":            {tos(), tos(), nil},
		"both, after another": {slices.Concat(ttl, tclass(1), tos(2)), slices.Concat(ttl, tclass(0xb9), tos(0xb9)), []asked{{IPv6TClass, 1}, {IPv4TOS, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(tt.oob)
			var got []asked
			rewritten, err := RewriteControl(tt.oob, func(o Option, octet uint8) (uint8, error) {
				got = append(got, asked{o, octet})
				return 0xb9, nil
			})
			require.NoError(t, err)
			assert.Equal(t, tt.asked, got)
			assert.Equal(t, tt.want, rewritten)
			assert.Equal(t, before, tt.oob, "the caller's buffer")

			same, err := RewriteControl(tt.oob, func(_ Option, octet uint8) (uint8, error) { return octet, nil })
			require.NoError(t, err)
			assert.Equal(t, before, same)
			if len(tt.oob) > 0 {
				assert.Same(t, &tt.oob[0], &same[0], "no copy where nothing changes")
			}

			refused, err := RewriteControl(tt.oob, func(Option, uint8) (uint8, error) { return 0, errRefused })
			if tt.asked != nil {
				require.ErrorIs(t, err, errRefused)
				assert.Nil(t, refused)
			}
		})
	}
	malformed := tos(0x48)[:unix.CmsgLen(0)]
	_, err := RewriteControl(malformed, func(_ Option, octet uint8) (uint8, error) { return octet, nil })
	require.ErrorIs(t, err, unix.EINVAL)
	_, ok := ReceivedOctet(malformed)
	assert.False(t, ok)
}
