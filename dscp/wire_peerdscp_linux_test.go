package dscp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/trial"
)

// TestSavedSYN checks the mark of the SYN without privilege, on the machine's own
// loopback: the kernel saves the header of the SYN for the listener.
func TestSavedSYN(t *testing.T) {
	t.Parallel()
	trial.Need(t, trial.SavedSYN)
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
				assert.False(t, ok, "a dialled conn received no SYN")
			})
		}
	}
}
