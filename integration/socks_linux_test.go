package integration

import (
	"io"
	"log"
	"net"
	"strings"
	"testing"

	"github.com/armon/go-socks5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/proxy"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
)

// TestSOCKS5 connects through a proxy. The connection to the proxy and the one that the
// proxy dials each have one mark, from the first packet on.
func TestSOCKS5(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	proxyListener, originListener := listen(t), listen(t)
	near, far := watching(t, proxyListener.Addr()), watching(t, originListener.Addr())
	server, err := socks5.New(&socks5.Config{
		Dial:   (&dscp.Dialer{DSCP: proxyMark}).DialContext,
		Logger: log.New(io.Discard, "", 0),
	})
	require.NoError(t, err)
	go server.Serve(proxyListener)
	served := make(chan error, 1)
	go func() {
		c, err := originListener.Accept()
		if err == nil {
			_, err = io.Copy(c, c)
			c.Close()
		}
		served <- err
	}()

	d, err := proxy.SOCKS5("tcp", proxyListener.Addr().String(), nil, &dscp.Dialer{DSCP: clientMark})
	require.NoError(t, err)
	c, err := d.(proxy.ContextDialer).DialContext(t.Context(), "tcp", originListener.Addr().String())
	require.NoError(t, err)
	payload := strings.Repeat("s", 300_000)
	writeClosed := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, payload)
		writeClosed <- err
	}()
	b := make([]byte, len(payload))
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.NoError(t, <-writeClosed)
	assert.Equal(t, payload, string(b))
	require.NoError(t, c.Close())
	require.NoError(t, <-served)
	near.flows(1, clientMark)
	far.flows(1, proxyMark)
}

var (
	_ proxy.Dialer        = (*dscp.Dialer)(nil)
	_ proxy.ContextDialer = (*dscp.Dialer)(nil)
	_ net.Conn            = (*dscp.Conn)(nil)
)
