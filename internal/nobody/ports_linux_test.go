package nobody_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/nobody"
	"github.com/godscp/godscp/internal/testns"
)

// TestPortIsKept has listeners and clients take all ports that there are: nobody
// is given that of the address, on either side.
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
					assert.Equal(t, 62, n, "of 64, but the two of the address")
					break
				}
				defer l.Close()
				require.NotEqual(t, kept, l.Addr().String())
			}
		})
	}
}
