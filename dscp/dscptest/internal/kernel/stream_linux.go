package kernel

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenStream has urgent bytes stay in line, where they can be told apart.
func (k *linuxKernel) OpenStream(c *net.TCPConn) (Stream, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := setOption(raw, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1, "SO_OOBINLINE"); err != nil {
		return nil, err
	}
	s := &stream{raw: raw}
	s.receive, s.send = s.receiveFD, s.sendFD
	return s, nil
}

// A stream has its closures made once, and one goroutine for each direction.
type stream struct {
	raw syscall.RawConn

	receive  func(fd uintptr) bool
	buf      []byte
	received int
	urgent   bool
	err      error

	send    func(fd uintptr) bool
	b       byte
	sendErr error
}

func (s *stream) Read(b []byte) (n int, urgent bool, err error) {
	s.buf = b
	err = s.raw.Read(s.receive)
	s.buf = nil
	if err == nil && s.err != nil {
		err = os.NewSyscallError("recv", s.err)
	}
	if err != nil {
		return 0, false, err
	}
	if s.received == 0 {
		return 0, false, io.EOF
	}
	return s.received, s.urgent, nil
}

// receiveFD receives what the kernel had when it was asked how much that is: what
// comes after may be urgent. The kernel stops before an urgent byte that has come;
// if that is the first, it is received alone.
func (s *stream) receiveFD(fd uintptr) bool {
	for {
		s.received, s.urgent, s.err = 0, false, nil
		available, err := unix.IoctlGetUint32(int(fd), unix.SIOCINQ)
		if err != nil {
			s.err = err
			return true
		}
		b := s.buf[:min(int(available), len(s.buf))]
		if available == 0 {
			// Nothing yet, the end, or an error: whatever comes meanwhile stays.
			if _, _, s.err = unix.Recvfrom(int(fd), s.buf[:1], unix.MSG_PEEK); s.err == nil {
				if available, _ = unix.IoctlGetUint32(int(fd), unix.SIOCINQ); available > 0 {
					continue
				}
				return true // the end
			}
		} else {
			atMark, err := unix.IoctlGetUint32(int(fd), unix.SIOCATMARK)
			if err != nil {
				s.err = err
				return true
			}
			if s.urgent = atMark != 0; s.urgent {
				b = b[:1]
			}
			s.received, s.err = unix.Read(int(fd), b)
		}
		switch s.err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		return true
	}
}

func (s *stream) WriteUrgent(b byte) error {
	s.b = b
	if err := s.raw.Write(s.send); err != nil {
		return err
	}
	return os.NewSyscallError("send", s.sendErr)
}

func (s *stream) sendFD(fd uintptr) bool {
	for {
		s.sendErr = unix.Send(int(fd), []byte{s.b}, unix.MSG_OOB|unix.MSG_NOSIGNAL)
		switch s.sendErr {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		return true
	}
}
