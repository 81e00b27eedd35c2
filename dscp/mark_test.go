package dscp

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// forgetful is a socket on which setting an option succeeds without effect.
type forgetful struct{ syscall.RawConn }

func (f forgetful) Control(g func(uintptr)) error {
	if originOf(g) == xnetSet {
		return nil
	}
	return f.RawConn.Control(g)
}

// refusing is a socket on which every option fails with err.
type refusing struct {
	syscall.RawConn
	err error
}

func (r refusing) Control(func(uintptr)) error { return r.err }

func TestMarkFails(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	client, _ := pair(t, &Dialer{}, l)
	v4 := client.pin.raw
	tests := []struct {
		name        string
		network     string
		raw         syscall.RawConn
		unsupported bool
		option      string
	}{
		{"an option that is not kept", "tcp4", forgetful{v4}, true, "IP_TOS"},
		{"an option that the socket lacks", "tcp6", v4, true, "IPV6_TCLASS"},
		{"not supported", "tcp4", refusing{v4, errors.ErrUnsupported}, true, "IP_TOS"},
		{"EPERM", "tcp4", refusing{v4, syscall.EPERM}, false, "IP_TOS"},
		{"EPERM, UDP", "udp6", refusing{v4, syscall.EPERM}, false, "IPV6_TCLASS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := "192.0.2.1:1"
			if tt.network != "tcp4" {
				address = "[2001:db8::1]:1"
			}
			err := mark(tt.network, address, AF21, tt.raw, true)
			require.Error(t, err)
			assert.Equal(t, tt.unsupported, errors.Is(err, errors.ErrUnsupported))
			for _, part := range []string{tt.option, "AF21"} {
				assert.ErrorContains(t, err, part)
			}
			var u *UnsupportedError
			if tt.unsupported {
				require.ErrorAs(t, err, &u)
				assert.Equal(t, tt.network, u.Network)
				assert.Equal(t, AF21, u.CodePoint)
				return
			}
			var m *MarkError
			require.ErrorAs(t, err, &m)
			assert.Equal(t, AF21, m.CodePoint)
			require.ErrorIs(t, err, syscall.EPERM)
		})
	}
	err := mark("tcp6", "[::]:1", AF21, refusing{v4, syscall.EPERM}, true)
	require.ErrorIs(t, err, syscall.EPERM)
	assert.ErrorContains(t, err, "IPV6_V6ONLY")
}

// TestMarkNotHeld pins dialled conns on which setting the mark succeeded without effect.
func TestMarkNotHeld(t *testing.T) {
	t.Parallel()
	requireHost(t)
	for _, addr := range loopbacks(t) {
		for _, m := range []marking{{AF21, false}, {AF21, true}, {DF, false}} {
			t.Run(fmt.Sprintf("%s/%v/allow=%t", addr, m.cp, m.allowUnmarked), func(t *testing.T) {
				t.Parallel()
				l := listenOn(t, &ListenConfig{}, addr)
				bare, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				defer bare.Close()
				c, err := pinDialed(bare.(*net.TCPConn), m)
				if m.cp == DF || m.allowUnmarked {
					require.NoError(t, err)
					assert.Equal(t, DF, c.DSCP())
					return
				}
				assert.Nil(t, c)
				require.ErrorIs(t, err, errors.ErrUnsupported)
				for _, part := range []string{"dial", l.Addr().String(), "AF21", "read back 0x00"} {
					assert.ErrorContains(t, err, part)
				}
				var u *UnsupportedError
				require.ErrorAs(t, err, &u)
				assert.Equal(t, AF21, u.CodePoint)
				_, err = bare.Write([]byte("x"))
				require.ErrorIs(t, err, net.ErrClosed, "nothing is sent unmarked")
			})
		}
	}
}

// TestAllowUnmarked makes marking fail on a real dial.
func TestAllowUnmarked(t *testing.T) {
	t.Parallel()
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	m := marking{cp: AF21, allowUnmarked: true}
	nd := &net.Dialer{Control: func(network, address string, c syscall.RawConn) error {
		return m.apply(network, address, refusing{c, syscall.EPERM})
	}}
	c, err := nd.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	conn, err := Pin(c.(*net.TCPConn))
	require.NoError(t, err)
	assert.Equal(t, DF, conn.DSCP(), "the mark that it has, not the requested one")

	m.allowUnmarked = false
	_, err = nd.Dial("tcp", l.Addr().String())
	require.ErrorIs(t, err, syscall.EPERM)
	assert.ErrorContains(t, err, l.Addr().String())
	assert.ErrorContains(t, err, "AF21")
}
