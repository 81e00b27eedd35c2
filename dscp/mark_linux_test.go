package dscp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// socketPriority returns the SO_PRIORITY that Linux sets along with IP_TOS. See
// ip_tos2prio in the kernel's net/ipv4/route.c: the index is the octet's bits 0x1e, of
// which the lowest belongs to ECN and the next changes nothing.
func socketPriority(cp CodePoint) int { return [...]int{0, 2, 6, 4}[cp>>1&3] }

// TestIPv4MarkSetsSocketPriority reads SO_PRIORITY from sockets of every kind: IP_TOS
// sets it, IPV6_TCLASS does not, and an accepted connection has 0.
func TestIPv4MarkSetsSocketPriority(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Priority)
	priority := func(p *pin) int {
		v, err := tos.GetInt(p.raw, unix.SOL_SOCKET, unix.SO_PRIORITY)
		require.NoError(t, err)
		return v
	}
	for cp := range CodePoint(64) {
		for _, addr := range append(loopbacks(t), ":0") {
			want := socketPriority(cp)
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
