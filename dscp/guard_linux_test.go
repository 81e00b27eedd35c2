package dscp

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// TestPriorityIsRestored checks that SO_PRIORITY is unchanged after a refused change of
// IP_TOS. Linux sets it along with IP_TOS, and it can select the band of a qdisc.
func TestPriorityIsRestored(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.Priority)
	for _, own := range []int{0, 2, 5} {
		guardPairs(t, func(t *testing.T, c *Conn) {
			priority := func(fd uintptr) int {
				p, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY)
				assert.NoError(t, err)
				return p
			}
			raw, err := c.SyscallConn()
			require.NoError(t, err)
			require.NoError(t, raw.Control(func(fd uintptr) {
				assert.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY, own))
			}), "a program may set SO_PRIORITY")
			for _, change := range []func(fd uintptr){
				func(fd uintptr) { assert.NoError(t, tos.IPv4TOS.Set(tos.FD(fd), CS1.TOS())) },
				func(fd uintptr) {
					assert.NoError(t, tos.IPv4TOS.Set(tos.FD(fd), CS1.TOS()))
					assert.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY, 1))
				},
			} {
				require.ErrorIs(t, raw.Control(change), ErrMidFlow)
				require.NoError(t, raw.Control(func(fd uintptr) { assert.Equal(t, own, priority(fd)) }))
			}
			require.ErrorIs(t, ipv4.NewConn(c).SetTOS(int(CS1.TOS())), ErrMidFlow)
			require.NoError(t, raw.Control(func(fd uintptr) { assert.Equal(t, own, priority(fd)) }))
		})
	}
}

// TestGuardAllocatesNoMoreThanNet checks that the guard adds no allocation to a function
// that it watches, such as the liveness probe of a connection pool.
func TestGuardAllocatesNoMoreThanNet(t *testing.T) {
	client, _ := pair(t, &Dialer{DSCP: AF21}, listenOn(t, &ListenConfig{}, "127.0.0.1:0"))
	probe := func(uintptr) bool { return true }
	measure := func(c interface {
		net.Conn
		syscall.Conn
	}) float64 {
		return testing.AllocsPerRun(1000, func() {
			raw, err := c.SyscallConn()
			require.NoError(t, err)
			require.NoError(t, raw.Read(probe))
		})
	}
	assert.LessOrEqual(t, measure(client), measure(client.TCPConn))
}
