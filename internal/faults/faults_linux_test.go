package faults_test

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/faults"
)

func open(protocol int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x48)
}

func TestInject(t *testing.T) {
	if !faults.Inside(t) {
		return
	}
	socket := faults.Call{Number: unix.SYS_SOCKET, X: unix.AF_INET}
	option := faults.Call{Number: unix.SYS_SETSOCKOPT, X: unix.IPPROTO_IP, Y: unix.IP_TOS}
	require.Equal(t, []faults.Call{socket, option}, faults.Watch(func() { require.NoError(t, open(0)) }))
	assert.Equal(t, "socket (2, protocol 0)", socket.String())
	assert.Equal(t, "setsockopt IP_TOS", option.String())
	assert.True(t, option.Option(unix.IPPROTO_IP, unix.IP_TOS))
	assert.False(t, socket.Option(unix.AF_INET, 0))

	for mask, want := range map[faults.Mask][]faults.Call{
		faults.Only(0): {socket},
		faults.From(0): {socket}, // the only call
		faults.Only(1): {option},
		faults.From(1): {option},
		faults.Only(2): nil,
		0:              nil,
	} {
		for _, errno := range []syscall.Errno{unix.EMFILE, unix.ENOBUFS, unix.EPERM} {
			failed := faults.Inject(mask, errno, func() {
				if err := open(0); want == nil {
					assert.NoError(t, err)
				} else {
					assert.Equal(t, errno, err)
				}
			})
			assert.Equal(t, want, failed)
		}
	}
	require.NoError(t, open(0), "nothing fails outside of Inject")

	t.Run("while a call waits", func(t *testing.T) {
		for n := range 2 { // a socket is not held
			var opened, held atomic.Bool
			reached := faults.At(n, func() { held.Store(opened.Load()) }, func() {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				opened.Store(true)
				require.NoError(t, err)
				defer unix.Close(fd)
				require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x48))
			})
			assert.True(t, reached)
			assert.True(t, held.Load())
		}
		assert.False(t, faults.At(2, func() { t.Error("there is no third call") }, func() { require.NoError(t, open(0)) }))
	})
	t.Run("beyond the mask", func(t *testing.T) {
		failed := faults.Inject(faults.From(63), unix.ENOMEM, func() {
			for i := range 80 {
				_, err := unix.Socket(999, 0, 0)
				assert.Equal(t, i >= 63, err == unix.ENOMEM, "%d: %v", i, err)
			}
		})
		assert.Len(t, failed, 17)
	})
	t.Run("refused sockets", func(t *testing.T) {
		faults.RefuseSockets(0, unix.IPPROTO_MPTCP, unix.EPROTONOSUPPORT)
		require.ErrorIs(t, open(unix.IPPROTO_MPTCP), unix.EPROTONOSUPPORT)
		require.NoError(t, open(unix.IPPROTO_TCP))
		faults.RefuseSockets(unix.AF_INET6, 0, unix.EAFNOSUPPORT)
		_, err := net.Dial("udp6", "[::1]:9")
		require.ErrorIs(t, err, unix.EAFNOSUPPORT)
		require.NoError(t, open(unix.IPPROTO_MPTCP))
	})
}

// TestManyThreads counts the calls of several threads while Go's scheduler interrupts
// them.
func TestManyThreads(t *testing.T) {
	if !faults.Inside(t) {
		return
	}
	const threads, each = 8, 500
	calls := faults.Watch(func() {
		done := make(chan error, threads)
		for range threads {
			go func() {
				var failed error
				for range each {
					if err := open(0); err != nil {
						failed = err
					}
				}
				done <- failed
			}()
		}
		for range threads {
			assert.NoError(t, <-done)
		}
	})
	assert.Len(t, calls, 2*threads*each)
}
