package dscptest_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestVMwareResetsNaiveClient(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.VMware)
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "before login"))
		require.NoError(t, mark(c, dscp.AF21))
		err := ask(c, "after login")
		require.Error(t, err)
		assert.True(t, broken(c, err), "%v", err)

		f := eventually(t, box, over)
		assert.Equal(t, dscp.DF, f.SYN)
		assert.Equal(t, dscptest.Reset, f.Verdict)
		assert.Equal(t, "VMware", f.Model)
		assert.Equal(t, "VMware: the client's mark went from DF to AF21", f.Reason)
		require.Len(t, f.Changes, 1)
		got := f.Changes[0]
		assert.Equal(t, dscptest.ClientToServer, got.Direction)
		assert.Equal(t, dscp.DF, got.From)
		assert.Equal(t, dscp.AF21, got.To)
		assert.LessOrEqual(t, got.Offset, int64(len("before login")))
		assert.GreaterOrEqual(t, got.OffsetMax, int64(len("before login")))
		assert.EqualValues(t, len("before loginafter login"), f.ClientBytes)
		assert.EqualValues(t, len("before login"), f.ServerBytes)
		assert.Equal(t, c.LocalAddr().String(), f.Client.String())
	})
}

func TestVMwareResetsBeforeFirstByte(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.VMware)
		c := dial(t, box.Addr())
		require.NoError(t, mark(c, dscp.AF21))
		err := ask(c, "hello")
		require.Error(t, err)
		assert.True(t, broken(c, err), "%v", err)
		f := eventually(t, box, over)
		assert.Equal(t, dscptest.Reset, f.Verdict)
		require.Len(t, f.Changes, 1)
		assert.Zero(t, f.Changes[0].Offset)
		assert.Equal(t, box.Sensor() != dscptest.SocketOption, f.Changes[0].Exact(), "off the wire the offset of one segment is exact")
	})
}

// TestVMwareResetsNaiveServer has a server mark each connection as soon as it has
// accepted it. The box must know the mark of the SYN-ACK even if the change comes before
// its first sample.
func TestVMwareResetsNaiveServer(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		srv := serve(t, address, func(c net.Conn) {
			mark(c, dscp.CS1)
			io.WriteString(c, "banner")
			echo(c)
		})
		box := dscptest.Config{Upstream: srv, Models: []dscptest.Model{dscptest.VMware}, Inside: dscptest.Server}.NewMiddlebox(t)
		for range 50 {
			c, err := net.Dial("tcp", box.Addr())
			if err == nil { // the reset may be faster than Dial
				_, err = io.Copy(io.Discard, c)
				assert.True(t, broken(c, err), "%v", err)
				c.Close()
			}
		}
		for _, f := range box.Flows() {
			assert.Equal(t, dscptest.Reset, f.Verdict)
			assert.True(t, f.Answered)
			assert.Equal(t, dscp.DF, f.SYNACK)
			require.Len(t, f.Changes, 1)
			assert.Equal(t, dscptest.ServerToClient, f.Changes[0].Direction)
			assert.Equal(t, dscp.CS1, f.Changes[0].To)
			assert.Equal(t, "VMware: the server's mark went from DF to CS1", f.Reason)
		}
	})
}

func TestVMwareJudgesInsideOnly(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.Config{
			Upstream: serve(t, address, echo),
			Models:   []dscptest.Model{dscptest.VMware},
			Inside:   dscptest.Server,
		}.NewMiddlebox(t)
		c := dial(t, box.Addr())
		require.NoError(t, mark(c, dscp.AF21))
		require.NoError(t, ask(c, "the client is outside"))
		f := eventually(t, box, func(f dscptest.Flow) bool { return f.Changed() })
		assert.Equal(t, dscptest.Pass, f.Verdict)
		require.Len(t, f.Changes, 1)
		assert.Equal(t, dscptest.Pass, f.Changes[0].Verdict)
	})
}

func TestVMwarePassesSamePrecedence(t *testing.T) {
	tests := []struct {
		name           string
		client, server dscp.CodePoint // from the beginning
		later          dscp.CodePoint // the client's, after a question
	}{
		{"unmarked", dscp.DF, dscp.DF, dscp.DF},
		{"constant client", dscp.AF21, dscp.DF, dscp.AF21},
		{"constant server", dscp.DF, dscp.AF21, dscp.DF},
		{"constant, each its own", dscp.EF, dscp.CS1, dscp.EF},
		{"OpenSSH 7.7", dscp.DF, dscp.DF, dscp.LowDelay},
	}
	eachFamily(t, func(t *testing.T, address string) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				box := dscptest.NewMiddlebox(t, serveMarked(t, address, tt.server, echo), dscptest.VMware)
				c := dialMarked(t, box.Addr(), tt.client)
				require.NoError(t, ask(c, "before"))
				if tt.later != tt.client {
					require.NoError(t, mark(c, tt.later))
				}
				for range 20 {
					require.NoError(t, ask(c, "after"))
				}
				require.NoError(t, c.CloseWrite())
				_, err := io.Copy(io.Discard, c)
				require.NoError(t, err)
				f := eventually(t, box, over)
				assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
				assert.Equal(t, tt.client, f.SYN)
				assert.True(t, f.Answered)
				assert.Equal(t, tt.server, f.SYNACK)
				assert.Equal(t, tt.later != tt.client, f.Changed())
				assert.NoError(t, f.Err)
			})
		}
	})
}

// TestReceiveOnlyClientIsJudged has a client change its mark and then send only
// acknowledgements. The pump of the other direction has to notice.
func TestReceiveOnlyClientIsJudged(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
			for {
				if _, err := c.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}), dscptest.VMware)
		c := dial(t, box.Addr())
		_, err := io.CopyN(io.Discard, c, 100_000)
		require.NoError(t, err)
		require.NoError(t, mark(c, dscp.AF21))
		_, err = io.Copy(io.Discard, c)
		assert.True(t, broken(c, err), "%v", err)
		assert.Equal(t, dscptest.Reset, eventually(t, box, func(f dscptest.Flow) bool { return f.Changed() }).Verdict)
	})
}
