package dscptest

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A latch reads the Traffic Class of the segment that arrived last on an IPv6
// connection, pure acknowledgements included. Linux keeps it for sockets with
// IPV6_RECVTCLASS and gives it out through IPV6_2292PKTOPTIONS (RFC 2292,
// section 4.1), which RFC 3542 took away and the kernel still has.
type latch struct {
	raw   syscall.RawConn
	read  func(fd uintptr) // made once: a closure for every look would be garbage for every look
	cmsg  [8]uint64        // one control message with an int, aligned
	class int
	err   error
	infos infoReader
}

func newLatch(c *net.TCPConn) (*latch, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &latch{raw: raw, infos: newInfoReader(raw)}
	l.read = l.readClass
	return l, nil
}

func (l *latch) readClass(fd uintptr) {
	var n uint32
	n, l.err = getsockopt(fd, unix.IPPROTO_IPV6, unix.IPV6_2292PKTOPTIONS, unsafe.Pointer(&l.cmsg), uint32(unsafe.Sizeof(l.cmsg)))
	if l.err != nil {
		return
	}
	var ok bool
	if l.class, ok = classIn(&l.cmsg, n); !ok {
		l.err = unix.ENODATA
	}
}

// classIn returns the class in the n bytes that the kernel wrote. RECVTCLASS is
// the only option that was asked for, so that the first control message is the
// class or there is none.
func classIn(cmsg *[8]uint64, n uint32) (class int, ok bool) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(cmsg))
	if int(n) < unix.CmsgLen(4) || h.Level != unix.IPPROTO_IPV6 || h.Type != unix.IPV6_TCLASS {
		return 0, false
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(cmsg), unix.CmsgLen(0)))), true
}

func (l *latch) look() (dscp.CodePoint, bool) {
	if err := l.raw.Control(l.read); err != nil || l.err != nil {
		return 0, false
	}
	return dscp.FromTOS(uint8(l.class)), true
}

func (l *latch) position() (position, bool) { return l.infos.position() }
