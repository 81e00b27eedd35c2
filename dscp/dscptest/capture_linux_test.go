package dscptest_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/testns"
)

// everySegment starts a box that reads every segment off the wire.
func everySegment(t *testing.T, upstream string, models ...dscptest.Model) *dscptest.Middlebox {
	t.Helper()
	return dscptest.Config{Upstream: upstream, Models: models, Sensor: dscptest.WireEvery}.NewMiddlebox(t)
}

// TestEverySegment changes a mark for one segment and puts it back at once: the
// box has both changes, to the byte.
func TestEverySegment(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := everySegment(t, serve(t, family.address, echo))
			c := dialMarked(t, box.Addr(), dscp.AF21)
			for range 100 {
				for _, cp := range []dscp.CodePoint{dscp.EF, dscp.AF21} {
					require.NoError(t, mark(c, cp))
					require.NoError(t, ask(c, "0123456789")) // waits, or the kernel joins segments
				}
			}
			require.NoError(t, c.CloseWrite())
			_, err := io.Copy(io.Discard, c)
			require.NoError(t, err)
			f := eventually(t, box, over)
			require.Len(t, f.Changes, 200)
			for i, ch := range f.Changes {
				assert.True(t, ch.Exact())
				assert.EqualValues(t, 10*i, ch.Offset, "%v", ch)
			}
		})
	}
}

// TestWordsBeforeLeaving has a client mark, say one thing and close at once,
// which no look at its socket would catch.
func TestWordsBeforeLeaving(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			heard := make(chan string, 100)
			box := everySegment(t, serve(t, family.address, func(c net.Conn) {
				b, _ := io.ReadAll(c)
				heard <- string(b)
			}), dscptest.VMware)
			for range 100 {
				c := dial(t, box.Addr())
				require.NoError(t, mark(c, dscp.AF21))
				_, err := c.Write([]byte("bye"))
				require.NoError(t, err)
				require.NoError(t, c.Close())
				assert.Empty(t, <-heard)
			}
			for _, f := range box.Flows() {
				assert.Equal(t, dscptest.Reset, f.Verdict, "%v", f)
				assert.Equal(t, "client→server: DF → AF21 at byte 0", f.Changes[0].String())
			}
		})
	}
}

// TestResetsCarryAForeignMark has a server vanish while a marked client writes:
// the kernel's reset for a connection that is gone carries the client's mark,
// and the server is not to be blamed for it.
func TestResetsCarryAForeignMark(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			box := everySegment(t, serve(t, family.address, func(c net.Conn) {
				io.ReadFull(c, make([]byte, 5))
			}), dscptest.VMware)
			for range 50 {
				c := dialMarked(t, box.Addr(), dscp.EF)
				for range 20 {
					if _, err := c.Write([]byte("hello")); err != nil {
						break
					}
				}
				io.Copy(io.Discard, c)
				c.Close()
			}
			for _, f := range box.Flows() {
				assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
			}
		})
	}
}

// TestRemoteIPv4Server has a server on another host, as it were, judged.
func TestRemoteIPv4Server(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for i, server := range remoteServer(t, dscp.CS1) {
		t.Run(families[i].name, func(t *testing.T) {
			box := everySegment(t, server, dscptest.VMware)
			c := dial(t, box.Addr())
			require.NoError(t, ask(c, "x"))
			err := ask(c, "x")
			assert.True(t, broken(c, err), "%v", err)
			assert.Equal(t, "VMware: the server's mark went from DF to CS1", box.Flows()[0].Reason)
		})
	}
}
