package dscptest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestBlackholeAcknowledgesNothing tells a blackhole from a box that merely
// reads no more: what is sent into it stays in the sender's queue, and
// TCP_USER_TIMEOUT ends it.
func TestBlackholeAcknowledgesNothing(t *testing.T) {
	eachFamily(t, func(t *testing.T, address string) {
		box := dscptest.NewMiddlebox(t, serve(t, address, echo), dscptest.FlowKey)
		c := dial(t, box.Addr())
		raw, err := c.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500)
		}))
		require.NoError(t, err)
		require.NoError(t, ask(c, "before"))
		require.NoError(t, mark(c, dscp.AF21))
		_, err = c.Write([]byte("swallowed"))
		require.NoError(t, err)
		eventually(t, box, func(f dscptest.Flow) bool { return f.Verdict == dscptest.Blackhole })
		begin := time.Now()
		_, err = c.Write([]byte("lost"))
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, unix.ETIMEDOUT)
		assert.Less(t, time.Since(begin), patience)
	})
}
