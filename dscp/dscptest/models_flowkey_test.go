package dscptest_test

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

func TestFlowKeySilencesOneWay(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		ready := make(chan net.Conn, 1)
		got := make(chan string, 1)
		box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
			echoed := make([]byte, len("before"))
			io.ReadFull(c, echoed)
			c.Write(echoed)
			ready <- c
			rest, _ := io.ReadAll(c)
			got <- string(rest)
		}), dscptest.FlowKey)
		c := dialMarked(t, box.Addr(), dscp.AF21)
		require.NoError(t, ask(c, "before"))
		require.NoError(t, mark(c, dscp.CS1))
		_, err := c.Write([]byte("after"))
		require.NoError(t, err, "a write into a blackhole succeeds")

		f := eventually(t, box, func(f dscptest.Flow) bool { return f.Verdict != dscptest.Pass })
		assert.Equal(t, dscptest.Blackhole, f.Verdict)
		assert.Equal(t, "FlowKey: the client's mark went from AF21 to CS1", f.Reason)

		// The other direction works.
		server := <-ready
		_, err = io.WriteString(server, "still here")
		require.NoError(t, err)
		buf := make([]byte, len("still here"))
		_, err = io.ReadFull(c, buf)
		require.NoError(t, err)
		assert.Equal(t, "still here", string(buf))

		// Nothing that the client sends now arrives, and it gets no error.
		_, err = c.Write([]byte("anybody?"))
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(silence)))
		_, err = c.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		f = eventually(t, box, func(dscptest.Flow) bool { return true })
		assert.False(t, f.Over, "the box holds a blackholed flow")
		assert.EqualValues(t, len("beforeafter"), f.ClientBytes, "nothing more was taken")

		require.NoError(t, box.Close())
		assert.Empty(t, <-got, "what the server read after the change")
		assert.True(t, eventually(t, box, over).Over)
	})
}

func TestFlowKeySilencesServer(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
			io.CopyN(c, c, int64(len("before")))
			io.ReadFull(c, make([]byte, len("after")))
			mark(c, dscp.LowDelay) // FlowKey ignores precedence
			io.WriteString(c, "after")
			io.Copy(io.Discard, c) // SocketOption reads the mark of a socket that is open
		}), dscptest.FlowKey)
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "before"))
		_, err := c.Write([]byte("after"))
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(silence)))
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		f := eventually(t, box, func(f dscptest.Flow) bool { return f.Verdict != dscptest.Pass })
		assert.Equal(t, dscptest.Blackhole, f.Verdict)
		require.Len(t, f.Changes, 1)
		assert.Equal(t, dscptest.ServerToClient, f.Changes[0].Direction)
	})
}

// TestBlackholeEndsWithItsServer ends the server of a silenced client: the box ends the
// flow.
func TestBlackholeEndsWithItsServer(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		silenced := make(chan struct{})
		box := dscptest.NewMiddlebox(t, serve(t, address, func(c net.Conn) {
			io.CopyN(c, c, int64(len("before")))
			<-silenced
			c.(*net.TCPConn).SetLinger(0)
		}), dscptest.FlowKey)
		c := dial(t, box.Addr())
		require.NoError(t, ask(c, "before"))
		require.NoError(t, mark(c, dscp.EF))
		_, err := c.Write([]byte("after"))
		require.NoError(t, err)
		eventually(t, box, func(f dscptest.Flow) bool { return f.Verdict == dscptest.Blackhole })
		close(silenced)
		_, err = io.Copy(io.Discard, c)
		assert.ErrorIs(t, err, errReset)
		eventually(t, box, over)
	})
}
