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
)

// TestPriorityIsPutBack holds that a refused change of IP_TOS leaves SO_PRIORITY
// alone, which Linux sets along with it and which can select the band of a qdisc.
func TestPriorityIsPutBack(t *testing.T) {
	t.Parallel()
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
			}), "it is the user's to set")
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

// TestGuardIsFrugal holds what the guard allocates for functions that it watches,
// such as the liveness probe that connection pools make for each request.
func TestGuardIsFrugal(t *testing.T) {
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
