//go:build amd64 || arm64

package pinexec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/seccomp"
)

// A supervisor makes the sockets of the programs under the filter.
type supervisor struct {
	listener *seccomp.Listener
	mark     dscp.CodePoint
	refusal  syscall.Errno // error for options that re-mark; 0: they do nothing and succeed
	verbose  bool
	quiet    bool   // do not log the current call
	proc     int    // descriptor of the directory /proc
	home     uint64 // the supervisor's network namespace, as returned by network
}

// supervise answers calls until the last program under the filter has ended.
func supervise(args []string) (status int) {
	// Go would handle these signals by ending the process, even if they are blocked.
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGTERM)
	s, err := newSupervisor(args)
	answer := reply
	if err != nil {
		answer = err.Error()
	}
	if _, err := unix.Write(connFD, []byte(answer)); err != nil {
		return Failed
	}
	if err != nil {
		return Failed
	}
	if err := s.listener.Serve(-1, s.handle); err != nil {
		fmt.Fprintln(os.Stderr, "pinexec: the supervisor ends:", err)
		return Failed
	}
	return 0
}

func newSupervisor(args []string) (*supervisor, error) {
	cp, err := strconv.ParseUint(args[2], 10, 6)
	if err != nil {
		return nil, err
	}
	s := &supervisor{mark: dscp.CodePoint(cp), verbose: args[4] == wordVerbose}
	if args[3] == wordStrict {
		s.refusal = unix.EPERM
	}
	if s.listener, err = receiveListener(connFD); err != nil {
		return nil, err
	}
	if s.proc, err = unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: "/proc", Err: err}
	}
	self := make([]byte, 20)
	n, err := unix.Readlinkat(s.proc, "self", self)
	if err != nil || string(self[:max(n, 0)]) != strconv.Itoa(os.Getpid()) {
		return nil, errors.New("/proc is not mounted, or belongs to another PID namespace; " + instead)
	}
	if s.home, err = s.network("self"); err != nil {
		return nil, err
	}
	return s, nil
}

func receiveListener(conn int) (*seccomp.Listener, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(conn, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil, err
	}
	if len(msgs) != 1 { // pinexec failed before it sent the listener, and reports its own error
		return nil, errors.New("no filter was installed")
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		return nil, err
	}
	return seccomp.NewListener(fds[0]), nil
}

// handle answers a call. It returns an error only if the supervisor must end; an
// error of the call goes to the caller.
func (s *supervisor) handle(c seccomp.Call) error {
	s.quiet = !s.verbose || s.verifying()
	if abi := abiOf(c); abi.Socketcall != 0 && uint32(c.Number) == abi.Socketcall {
		return s.handleSocketcall(c)
	}
	return s.give(c, uint32(c.Args[0]), uint32(c.Args[1]), uint32(c.Args[2]))
}

func abiOf(c seccomp.Call) seccomp.ABI {
	for _, abi := range seccomp.ABIs() {
		if abi.Arch == c.Arch {
			return abi
		}
	}
	return seccomp.ABI{}
}

// give answers a socket(2) with a marked socket if the caller is in the
// supervisor's network namespace. In another namespace the kernel makes the socket:
// the supervisor's would let the program out of the namespace.
func (s *supervisor) give(c seccomp.Call, domain, typ, protocol uint32) error {
	net, err := s.networkOf(c.Thread)
	if err != nil {
		s.logf(c, "%s socket refused: cannot find its network namespace: %v", network(domain, typ), err)
		return s.fail(c, unix.EACCES)
	}
	if net != s.home {
		s.logf(c, "%s socket not marked: it is in another network namespace", network(domain, typ))
		return s.pass(c)
	}
	fd, err := s.socket(domain, typ, protocol)
	if err != nil {
		s.logf(c, "%s socket refused: %v", network(domain, typ), err)
		return s.fail(c, errnoOf(err))
	}
	defer unix.Close(fd)
	there, err := s.listener.Give(c.ID, fd, typ&unix.SOCK_CLOEXEC != 0)
	if err != nil {
		s.logf(c, "%s socket refused: %v", network(domain, typ), err)
		return s.fail(c, errnoOf(err))
	}
	s.logf(c, "%s socket %d is marked %v", network(domain, typ), there, s.mark)
	return nil
}

// socket makes a marked socket. typ includes the caller's flags.
func (s *supervisor) socket(domain, typ, protocol uint32) (int, error) {
	fd, err := unix.Socket(int(domain), int(typ|unix.SOCK_CLOEXEC), int(int32(protocol)))
	if err != nil {
		return -1, err
	}
	if err := mark(fd, int(domain), s.mark); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (s *supervisor) fail(c seccomp.Call, errno syscall.Errno) error {
	_, err := s.listener.Fail(c.ID, errno)
	return err
}

func (s *supervisor) pass(c seccomp.Call) error {
	_, err := s.listener.Continue(c.ID)
	return err
}

func errnoOf(err error) syscall.Errno {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return unix.EIO
}

// handleSocketcall answers a socketcall(2) of a 32-bit program, whose arguments are in
// its memory. If it lets the kernel run the call, another thread of the program may
// change the arguments before the kernel reads them.
func (s *supervisor) handleSocketcall(c seccomp.Call) error {
	words, err := s.words(c)
	if err != nil {
		s.logf(c, "socketcall refused: cannot read its arguments: %v", err)
		return s.fail(c, unix.ENOSYS)
	}
	if c.Args[0] == seccomp.SocketcallSetsockopt {
		if remarks(words[1], words[2]) {
			return s.fail(c, s.refusal)
		}
		return s.pass(c)
	}
	switch o, errno := outcomeOf(words[0], words[1], words[2]); o {
	case passes:
		return s.pass(c)
	case refused:
		return s.fail(c, errno)
	}
	return s.give(c, words[0], words[1], words[2])
}

// words reads the first three arguments of a socketcall(2).
func (s *supervisor) words(c seccomp.Call) (w [3]uint32, err error) {
	fd, err := unix.Openat(s.proc, strconv.Itoa(int(c.Thread))+"/mem", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return w, os.NewSyscallError("openat", err)
	}
	defer unix.Close(fd)
	b := make([]byte, 4*len(w))
	n, err := unix.Pread(fd, b, int64(uint32(c.Args[1])))
	if err != nil {
		return w, os.NewSyscallError("pread", err)
	}
	if n < len(b) {
		return w, unix.EFAULT
	}
	if !s.listener.Waits(c.ID) { // the caller has ended, and its number may be another thread's
		return w, unix.ESRCH
	}
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w, nil
}

// networkOf returns the network namespace of a thread. The thread cannot change it
// while it waits for the answer.
func (s *supervisor) networkOf(thread uint32) (uint64, error) {
	if thread == 0 {
		return 0, errors.New("the thread is not in this PID namespace")
	}
	return s.network(strconv.FormatUint(uint64(thread), 10))
}

// network returns a number that identifies the network namespace of a process: an
// inode in its /proc/PID/net. It works for processes that may not be traced, too,
// whose /proc/PID/ns cannot be read.
func (s *supervisor) network(process string) (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstatat(s.proc, process+"/net/protocols", &st, 0)
	return st.Ino, os.NewSyscallError("stat", err)
}

// logf logs a line about a call, unless s.quiet.
func (s *supervisor) logf(c seccomp.Call, format string, args ...any) {
	if s.quiet {
		return
	}
	name := make([]byte, 16)
	if fd, err := unix.Openat(s.proc, strconv.Itoa(int(c.Thread))+"/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		n, _ := unix.Read(fd, name)
		name, _, _ = bytes.Cut(name[:max(n, 0)], []byte("\n"))
		unix.Close(fd)
	}
	fmt.Fprintf(os.Stderr, "pinexec: %s[%d]: %s\n", bytes.Trim(name, "\x00"), c.Thread, fmt.Sprintf(format, args...))
}

// verifying reports whether the calls are still those of pinexec's verify. pinexec
// closes the connection when it executes the program.
func (s *supervisor) verifying() bool {
	fds := []unix.PollFd{{Fd: connFD}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 0
}

// network returns the name of a kind of socket, such as tcp4, as package net does.
func network(domain, typ uint32) string {
	name := fmt.Sprintf("type %d, IPv", typ&socketTypeMask)
	switch typ & socketTypeMask {
	case unix.SOCK_STREAM:
		name = "tcp"
	case unix.SOCK_DGRAM:
		name = "udp"
	}
	if domain == unix.AF_INET6 {
		return name + "6"
	}
	return name + "4"
}
