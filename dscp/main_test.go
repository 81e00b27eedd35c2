package dscp

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/tos"
)

// requireHost skips a test that needs a system which marks.
func requireHost(t *testing.T) {
	t.Helper()
	if tos.Host.Unmarkable != "" {
		t.Skipf("%s cannot mark: %s", tos.Host.OS, tos.Host.Unmarkable)
	}
}

// loopbacks are the addresses that tests run on.
func loopbacks(t *testing.T) []string {
	t.Helper()
	addrs := []string{"127.0.0.1:0"}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 on loopback: %v", err)
		return addrs
	}
	require.NoError(t, l.Close())
	return append(addrs, "[::1]:0")
}
