//go:build unix

package dscp

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestResetByPeer holds which conns Accept leaves out: it cannot be had here, but where
// the kernel refuses every option of a socket that was reset.
func TestResetByPeer(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{nil: false, syscall.ECONNRESET: true, syscall.EINVAL: true, syscall.EBADF: false, net.ErrClosed: false} {
		if err != nil {
			err = new(pin).opError("pin", os.NewSyscallError("getsockopt", err))
		}
		assert.Equal(t, want, resetByPeer(err), "%v", err)
	}
}
