//go:build unix

package dscp

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestResetByPeer proves which errors make Accept leave a conn out. Linux does not return
// them; macOS, OpenBSD and NetBSD do for a socket that its peer has reset.
func TestResetByPeer(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{nil: false, syscall.ECONNRESET: true, syscall.EINVAL: true, syscall.EBADF: false, net.ErrClosed: false} {
		if err != nil {
			err = new(pin).opError("pin", os.NewSyscallError("getsockopt", err))
		}
		assert.Equal(t, want, resetByPeer(err), "%v", err)
	}
}
