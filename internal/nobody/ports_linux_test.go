package nobody_test

import (
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/nobody"
	"github.com/godscp/godscp/internal/testns"
)

// TestPortIsKept has listeners and clients take all ports that there are. The kernel gives
// the port of the address to none of them.
func TestPortIsKept(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for name, address := range map[string]string{"IPv4": "127.0.0.1:0", "IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			testns.Current(t).Sysctl("net.ipv4.ip_local_port_range", "40000 40063")
			kept := nobody.Listens(t, address)
			for range 200 { // no connect finds a port for itself, and itself with it
				_, err := net.Dial("tcp", kept)
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
			}
			for n := 0; ; n++ {
				l, err := net.Listen("tcp", address)
				if err != nil {
					require.ErrorIs(t, err, syscall.EADDRINUSE)
					assert.Equal(t, 62, n, "all of 64 but the two of the address")
					break
				}
				defer l.Close()
				require.NotEqual(t, kept, l.Addr().String())
			}
		})
	}
}

// TestBesideForks opens addresses while child processes start. Each has a copy of every
// descriptor until it executes its program.
func TestBesideForks(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	var forks sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		forks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				cmd := exec.Command("/proc/self/exe", "-test.run=^$")
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET} // slow, so that the copies last
				if !assert.NoError(t, cmd.Run()) {
					return
				}
			}
		})
	}
	for range 2000 {
		a, err := nobody.Open("127.0.0.1:0")
		if !assert.NoError(t, err) {
			break
		}
		_, err = net.Dial("tcp", a.String())
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.NoError(t, a.Close())
	}
	close(stop)
	forks.Wait()
}
