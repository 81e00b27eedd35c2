package nobody_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/nobody"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	a, err := nobody.Open("127.0.0.1:0")
	require.NoError(t, err)
	for range 3 {
		_, err := net.Dial("tcp", a.String())
		require.ErrorContains(t, err, "refused")
	}
	require.NoError(t, a.Close())

	_, err = nobody.Open("203.0.113.1:0") // not an address of any host (RFC 5737)
	require.Error(t, err)
}

func TestListens(t *testing.T) {
	t.Parallel()
	_, err := net.Dial("tcp", nobody.Listens(t, "127.0.0.1:0"))
	assert.ErrorContains(t, err, "refused")
}
