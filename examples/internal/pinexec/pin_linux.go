//go:build amd64 || arm64

package pinexec

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/seccomp"
)

// pin puts the calling thread under the filter before it executes the program, and
// checks that the filter works.
func pin(o Options) error {
	if err := frozen(); err != nil {
		return err
	}
	if err := markInherited(o.Mark); err != nil {
		return fmt.Errorf("marking inherited sockets: %w; %s", err, instead)
	}
	var refusal syscall.Errno
	if o.Strict {
		refusal = unix.EPERM
	}
	if o.Mark == dscp.DF {
		if err := filter(false, refusal).Install(); err != nil {
			return fmt.Errorf("%w; %s", err, instead)
		}
	} else if err := pinSupervised(o, refusal); err != nil {
		return err
	}
	return verify(o.Mark, refusal)
}

func pinSupervised(o Options, refusal syscall.Errno) error {
	s, err := startSupervisor(o)
	if err != nil {
		return err
	}
	// s.conn stays open until this process executes the program or ends. Until then
	// the supervisor logs no sockets.
	l, err := filter(true, refusal).InstallListener(true)
	if err != nil {
		return fmt.Errorf("%w; %s", err, instead)
	}
	defer l.Close()
	return s.take(l)
}

// frozen returns an error if marks cannot be changed in this process: under another
// pinexec, or in a child of a program that has sealed itself.
func frozen() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot make a socket: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	was, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS)
	if err != nil {
		return os.NewSyscallError("getsockopt(IP_TOS)", err)
	}
	other := was ^ 0x20
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, other); err != nil {
		return fmt.Errorf("cannot set a mark, as under pinexec -strict or a program that has sealed itself: sockets stay at %v: %w",
			dscp.FromTOS(uint8(was)), os.NewSyscallError("setsockopt(IP_TOS)", err))
	}
	if now, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS); err != nil || now != other {
		return fmt.Errorf("cannot set a mark, as under another pinexec: sockets stay at %v", dscp.FromTOS(uint8(was)))
	}
	return nil
}

// verify makes sockets as the program will, tries to change their marks, and
// returns an error unless they keep cp.
func verify(cp dscp.CodePoint, refusal syscall.Errno) error {
	for _, c := range []struct{ domain, level, option int }{
		{unix.AF_INET, unix.IPPROTO_IP, unix.IP_TOS},
		{unix.AF_INET6, unix.IPPROTO_IP, unix.IP_TOS},
		{unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_TCLASS},
	} {
		fd, err := unix.Socket(c.domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot make a socket under the filter: %w", os.NewSyscallError("socket", err))
		}
		defer unix.Close(fd)
		err = unix.SetsockoptInt(fd, c.level, c.option, int(cp.TOS()^0x20))
		if refusal == 0 && err != nil || refusal != 0 && !errors.Is(err, refusal) {
			return fmt.Errorf("the filter does not work: setting another mark: %v", err)
		}
		if tos, err := unix.GetsockoptInt(fd, c.level, c.option); err != nil || tos != int(cp.TOS()) {
			return fmt.Errorf("the filter does not work: a socket has TOS 0x%02x, want 0x%02x (%v), error %v", tos, cp.TOS(), cp, err)
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 0, 0, 0); errno != unix.ENOSYS {
		return fmt.Errorf("the filter does not work: io_uring_setup: %v", errno)
	}
	return nil
}

// reply is the supervisor's answer when it is ready. Any other answer is the text
// of an error.
const reply = "ready"

// A supervisorProcess is a supervisor that has started and waits for its listener.
// conn is this process's end of the connection to it.
type supervisorProcess struct{ conn int }

func (s supervisorProcess) close() { unix.Close(s.conn) }

// take gives l to the supervisor and waits until the supervisor is ready.
func (s supervisorProcess) take(l *seccomp.Listener) error {
	if err := unix.Sendmsg(s.conn, []byte{0}, unix.UnixRights(l.FD()), nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("supervisor: %w", os.NewSyscallError("sendmsg", err))
	}
	b := make([]byte, 4096)
	for {
		n, err := unix.Read(s.conn, b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("supervisor: %w", os.NewSyscallError("read", err))
		case n == 0:
			return errors.New("the supervisor ended before it was ready")
		case string(b[:n]) != reply:
			return fmt.Errorf("supervisor: %s", b[:n])
		default:
			return nil
		}
	}
}
