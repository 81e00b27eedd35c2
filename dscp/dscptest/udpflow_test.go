package dscptest_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestUDPRecordsChanges(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, echoUDP(t, address, 2))
		c := dialUDP(t, box.UDPAddr())
		require.NoError(t, markUDP(c, dscp.AF21, 0))
		require.NoError(t, ask(c, "first"))
		require.NoError(t, markUDP(c, dscp.EF, 0))
		require.NoError(t, ask(c, "second"))
		require.NoError(t, ask(c, "third"))

		f := eventually(t, box, func(f dscptest.Flow) bool { return len(f.Changes) == 2 })
		assert.Equal(t, dscp.AF21, f.SYN)
		assert.True(t, f.Answered)
		assert.Equal(t, dscp.DF, f.SYNACK)
		assert.Equal(t, "client→server: AF21 → EF at byte 5", f.Changes[0].String())
		assert.Equal(t, "server→client: DF → CS1 at byte 11", f.Changes[1].String())
		assert.EqualValues(t, 16, f.ClientBytes)
		assert.EqualValues(t, 16, f.ServerBytes)
		assert.Equal(t, c.LocalAddr().String(), f.Client.String())
	})
}

func TestModelsJudgeDatagrams(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		t.Run("DropMarked", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, echoUDP(t, address, -1), dscptest.DropMarked(dscp.EF))
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, ask(c, "first"))
			require.NoError(t, markUDP(c, dscp.EF, 0))
			assert.True(t, lost(t, c, "marked"))
			require.NoError(t, markUDP(c, dscp.DF, 0))
			require.NoError(t, ask(c, "again"), "datagram by datagram")
			f := eventually(t, box, func(dscptest.Flow) bool { return true })
			assert.Equal(t, dscptest.Drop, f.Verdict)
		})
		t.Run("FlowKey", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, echoUDP(t, address, -1), dscptest.FlowKey)
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, ask(c, "first"))
			require.NoError(t, markUDP(c, dscp.EF, 0))
			assert.True(t, lost(t, c, "marked"))
			require.NoError(t, markUDP(c, dscp.DF, 0))
			assert.True(t, lost(t, c, "too late"))
		})
		t.Run("VMware", func(t *testing.T) {
			t.Parallel()
			box := dscptest.NewMiddlebox(t, echoUDP(t, address, -1), dscptest.VMware)
			c := dialUDP(t, box.UDPAddr())
			require.NoError(t, ask(c, "first"))
			require.NoError(t, markUDP(c, dscp.EF, 0))
			require.NoError(t, ask(c, "TCP's affair"))
		})
	})
}

// TestUDPUpstreamComesUpLater keeps a flow whose server is not there yet.
func TestUDPUpstreamComesUpLater(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		keeper := dialUDP(t, echoUDP(t, address, -1)) // of a port: to others nobody is there
		upstream := keeper.LocalAddr().String()
		box := dscptest.NewMiddlebox(t, upstream)
		c := dialUDP(t, box.UDPAddr())
		assert.True(t, lost(t, c, "anybody?"))
		require.NoError(t, keeper.Close())
		srv, err := net.ListenPacket("udp", upstream)
		if err != nil {
			t.Skip("somebody else took the port: ", err)
		}
		defer srv.Close()
		_, err = c.Write([]byte("now?"))
		require.NoError(t, err)
		buf := make([]byte, 10)
		require.NoError(t, srv.SetReadDeadline(time.Now().Add(patience)))
		n, _, err := srv.ReadFrom(buf)
		require.NoError(t, err)
		assert.Equal(t, "now?", string(buf[:n]))
	})
}
