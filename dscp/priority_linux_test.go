package dscp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
)

// TestSocketPriority reads SO_PRIORITY back from sockets of every kind.
func TestSocketPriority(t *testing.T) {
	t.Parallel()
	priority := func(p *pin) int {
		v, err := tos.GetInt(p.raw, unix.SOL_SOCKET, unix.SO_PRIORITY)
		require.NoError(t, err)
		return v
	}
	for cp := range CodePoint(64) {
		for _, addr := range append(loopbacks(t), ":0") {
			want := cp.SocketPriority()
			if addr == "[::1]:0" {
				want = 0 // IPV6_TCLASS alone
			}
			pc, err := (&ListenConfig{DSCP: cp}).ListenPacket(t.Context(), "udp", addr)
			require.NoError(t, err)
			assert.Equal(t, want, priority(&pc.(*UDPConn).pin), "%v, UDP on %s", cp, addr)
			require.NoError(t, pc.Close())
			if addr == ":0" {
				continue
			}
			l := listenOn(t, &ListenConfig{DSCP: cp}, addr)
			c, err := (&Dialer{DSCP: cp}).Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			assert.Equal(t, want, priority(&c.(*Conn).pin), "%v, TCP to %s", cp, addr)
			s, err := l.Accept()
			require.NoError(t, err)
			assert.Equal(t, cp, s.(*Conn).DSCP())
			assert.Zero(t, priority(&s.(*Conn).pin), "%v, accepted on %s", cp, addr)
			require.NoError(t, c.Close())
			require.NoError(t, s.Close())
			require.NoError(t, l.Close())
		}
	}
}
