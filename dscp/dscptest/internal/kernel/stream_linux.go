package kernel

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenStream makes the kernel leave urgent bytes in the stream (SO_OOBINLINE).
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

// A stream makes its closures once, so it allows one goroutine for each direction.
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

// receiveFD asks the kernel how much has arrived and reads no more than that, because
// what arrives later may be urgent. A read stops before an urgent byte. If the next
// byte is urgent, receiveFD reads it alone.
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
			// There is nothing yet, or the end, or an error. Peek, so that data that
			// arrives meanwhile is not taken.
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
