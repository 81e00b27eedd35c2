package dscptest

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
	"github.com/godscp/godscp/internal/trial"
)

// TestICMPErrorLosesNoDatagram has an upstream that was down come up before the flow has
// read the ICMP error about a datagram.
func TestICMPErrorLosesNoDatagram(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"IPv4": "127.0.0.1:0", "IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			anybody, err := net.ListenPacket("udp", address)
			require.NoError(t, err)
			defer anybody.Close()
			// Connected to another address, it keeps the port and receives nothing.
			keeper, err := net.Dial("udp", anybody.LocalAddr().String())
			require.NoError(t, err)
			server, err := net.Dial("udp", keeper.LocalAddr().String())
			require.NoError(t, err)
			defer server.Close()
			k, err := kernel.Open(name == "IPv6")
			trial.Need(t, trial.Supported(err))
			require.NoError(t, err)
			defer k.Close()
			f := &udpFlow{box: &Middlebox{kernel: k}, server: server.(*net.UDPConn)}
			f.sendToServer(datagram{payload: []byte("anybody?")})

			require.NoError(t, keeper.Close())
			upstream, err := net.ListenPacket("udp", keeper.LocalAddr().String())
			require.NoError(t, err)
			defer upstream.Close()
			f.sendToServer(datagram{payload: []byte("now?")})
			require.NoError(t, upstream.SetReadDeadline(time.Now().Add(10*time.Second)))
			b := make([]byte, 10)
			n, _, err := upstream.ReadFrom(b)
			require.NoError(t, err)
			assert.Equal(t, "now?", string(b[:n]))
		})
	}
}
