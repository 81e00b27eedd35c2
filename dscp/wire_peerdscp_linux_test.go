package dscp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// TestSavedSYN proves the mark of the SYN to any user, on the machine's own
// loopback: the listener's kernel saved the header that arrived.
func TestSavedSYN(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		for _, cp := range codePoints() {
			t.Run(f.name+"/"+mark(cp), func(t *testing.T) {
				client, server := f.connect(t, dialled(dscp.Dialer{DSCP: cp}), listened(dscp.ListenConfig{}))
				got, ok := server.(*dscp.Conn).PeerDSCP()
				require.True(t, ok)
				assert.Equal(t, cp, got)
				assert.Equal(t, cp, client.(*dscp.Conn).DSCP())
				assert.Equal(t, dscp.DF, server.(*dscp.Conn).DSCP())
				_, ok = client.(*dscp.Conn).PeerDSCP()
				assert.False(t, ok, "no SYN came in on a dialled conn")
			})
		}
	}
}
