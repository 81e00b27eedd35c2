package seccomp

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// asking returns a filter with Notify only for setsockopt on the descriptor -1.
func asking() *Program {
	var p Program
	p.When(func() { p.Return(Notify) }, Number.Is(unix.SYS_SETSOCKOPT), Arg(0).Is(^uint32(0)))
	p.Return(Allow)
	return &p
}

// supervised runs f on a new thread, whose calls meet answers.
func supervised(t *testing.T, p *Program, meet func(*Listener, Call) error, f func()) error {
	t.Helper()
	listening, asked := make(chan *Listener, 1), make(chan error, 1)
	go onNewThread(func() bool {
		l, err := p.InstallListener(true)
		if errors.Is(err, unix.EINVAL) {
			l, err = p.InstallListener(false)
		}
		listening <- l
		if err == nil {
			f()
		}
		asked <- err
		return false
	})
	l := <-listening
	if l == nil {
		t.Skipf("no filter can be installed here: %v", <-asked)
	}
	err := l.Serve(-1, func(c Call) error { return meet(l, c) })
	if err != nil {
		require.NoError(t, l.Close())
		l = nil
	}
	<-asked
	if l != nil {
		require.NoError(t, l.Close())
	}
	return err
}

func TestListener(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	var self atomic.Int32
	const give, value, fail, letGo, late = 1, 2, 3, 4, 5
	var held []Call
	err = supervised(t, asking(), func(l *Listener, c Call) error {
		assert.Equal(t, uint32(self.Load()), c.Thread)
		assert.EqualValues(t, unix.SYS_SETSOCKOPT, c.Number)
		assert.Equal(t, []uint64{2, 3, 4, 5}, c.Args[2:6])
		assert.True(t, l.Waits(c.ID))
		assert.False(t, l.Waits(c.ID+1<<40))
		if abis := ABIs(); abis != nil {
			assert.Equal(t, abis[0].Arch, c.Arch)
		}
		known := true
		var err error
		switch c.Args[1] {
		case give:
			_, err = l.Give(c.ID, int(w.Fd()), true)
		case value:
			known, err = l.Return(c.ID, 77)
		case fail:
			known, err = l.Fail(c.ID, unix.EXDEV)
		case letGo:
			known, err = l.Continue(c.ID)
		case late: // answered by another goroutine
			held = append(held, c)
			go func() {
				if _, err := l.Return(held[0].ID, 79); err != nil {
					t.Error(err)
				}
			}()
		}
		assert.True(t, known)
		return err
	}, func() {
		self.Store(int32(unix.Gettid()))
		ask := func(what uintptr) (uintptr, syscall.Errno) {
			v, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, ^uintptr(0), what, 2, 3, 4, 5)
			return v, errno
		}
		got, errno := ask(give)
		assert.Zero(t, errno)
		flags, err := unix.FcntlInt(got, unix.F_GETFD, 0)
		assert.NoError(t, err)
		assert.Equal(t, unix.FD_CLOEXEC, flags)
		_, err = unix.Write(int(got), []byte("x"))
		assert.NoError(t, err)
		unix.Close(int(got))
		got, errno = ask(value)
		assert.Equal(t, []any{uintptr(77), syscall.Errno(0)}, []any{got, errno})
		_, errno = ask(fail)
		assert.Equal(t, unix.EXDEV, errno)
		_, errno = ask(letGo)
		assert.Equal(t, unix.EBADF, errno)
		got, errno = ask(late)
		assert.Equal(t, []any{uintptr(79), syscall.Errno(0)}, []any{got, errno})
	})
	require.NoError(t, err, "Serve ends when the last thread under the filter ends")
	_, err = r.Read(make([]byte, 1))
	require.NoError(t, err)
}

// TestGiveFails checks that a call can still be answered after Give has failed.
func TestGiveFails(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{unix.EBADF, unix.ENOENT} {
		err := supervised(t, asking(), func(l *Listener, c Call) error {
			fd, id := -1, c.ID
			if errno == unix.ENOENT {
				fd, id = 0, c.ID+1<<40
			}
			_, err := l.Give(id, fd, true)
			assert.ErrorIs(t, err, errno)
			_, err = l.Fail(c.ID, errno)
			return err
		}, func() { assert.Equal(t, errno, call()) })
		require.NoError(t, err)
	}
}

// TestServeEnds checks that Serve ends when meet fails, that calls fail afterwards, and
// that the thread's signal mask is restored.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mask := func() (m unix.Sigset_t) {
		require.NoError(t, unix.PthreadSigmask(unix.SIG_BLOCK, nil, &m))
		return m
	}
	before := mask()
	broken := errors.New("broken")
	err := supervised(t, asking(), func(*Listener, Call) error {
		during := mask()
		assert.NotZero(t, during.Val[0]&(1<<(unix.SIGURG-1)), "the scheduler's signal is blocked")
		return broken
	}, func() {
		assert.Equal(t, unix.ENOSYS, call())
		assert.Equal(t, unix.ENOSYS, call())
	})
	require.ErrorIs(t, err, broken)
	assert.Equal(t, before, mask())
}

func TestServeStops(t *testing.T) {
	t.Parallel()
	stop, stopped, err := os.Pipe()
	require.NoError(t, err)
	defer stop.Close()
	listening, end := make(chan *Listener), make(chan struct{})
	go onNewThread(func() bool {
		l, err := asking().InstallListener(false)
		if err != nil {
			l = nil
		}
		listening <- l
		<-end
		return false
	})
	defer close(end)
	l := <-listening
	if l == nil {
		t.Skip("no filter can be installed here")
	}
	require.NoError(t, stopped.Close())
	require.NoError(t, l.Serve(int(stop.Fd()), func(Call) error { return nil }))
	require.NoError(t, l.Close())
}
