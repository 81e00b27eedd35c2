package dscp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// TestSealReflect checks that Reflect and WriteMarked work in a sealed process.
func TestSealReflect(t *testing.T) {
	if !testns.Inside(t) { // inside is a child process, which may be sealed
		return
	}
	seal(t)
	for _, r := range reflectings {
		lc := &dscp.ListenConfig{DSCP: dscp.CS2, Reflect: eight}
		l, capture, server := r.serve(t, lc, lc)
		r.ask(t, l, 64, 8)
		capture.Until(wire.Closed(64))
		server.end(t, l)
		requireAnswers(t, capture.Stop(), listenPort(l), lc, 64)
	}
	for _, s := range datagramSockets {
		peer := sink(t, s.host)
		capture := wire.Start(t, "lo", peer.Port())
		c := s.make(t, datagramSettings{dscp: dscp.EF, further: []dscp.CodePoint{dscp.AF41}}, peer)
		for i, cp := range []dscp.CodePoint{dscp.AF41, dscp.EF, dscp.AF41} {
			_, err := c.WriteMarked(make([]byte, i), s.to(peer), cp)
			require.NoError(t, err)
		}
		assert.Equal(t, []uint8{dscp.AF41.TOS(), dscp.EF.TOS(), dscp.AF41.TOS()}, datagrams(capture, peer, 2), s.name)
		require.NoError(t, c.Close())
	}
}
