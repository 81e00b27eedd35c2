package kernel

import (
	"encoding/binary"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/tos"
)

// A classProbe reads the Traffic Class of the segment that arrived last on an IPv6
// connection, pure acknowledgements included. Linux keeps it for sockets with
// IPV6_RECVTCLASS, and returns it for IPV6_2292PKTOPTIONS (RFC 2292, section 4.1),
// which RFC 3542 removed and the kernel still has.
type classProbe struct {
	raw   syscall.RawConn
	read  func(fd uintptr) // made once, so that reads do not allocate
	cmsg  [8]uint64        // one control message with an int, aligned
	n     uint32           // how many octets of it the kernel wrote
	infos infoReader
}

func newClassProbe(c *net.TCPConn) (*classProbe, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &classProbe{raw: raw, infos: newInfoReader(raw)}
	p.read = p.readClass
	return p, nil
}

func (p *classProbe) readClass(fd uintptr) {
	// An error leaves n at 0, and so no message.
	p.n, _ = getsockopt(fd, unix.IPPROTO_IPV6, unix.IPV6_2292PKTOPTIONS, unsafe.Pointer(&p.cmsg), uint32(unsafe.Sizeof(p.cmsg)))
}

func (p *classProbe) Mark() (dscp.CodePoint, bool) {
	if err := p.raw.Control(p.read); err != nil {
		return 0, false
	}
	octet, ok := tos.ReceivedOctet(ownLayout(unsafe.Slice((*byte)(unsafe.Pointer(&p.cmsg)), p.n)))
	return dscp.FromTOS(octet), ok
}

// ownLayout returns a control message in the layout of this process. A 64-bit kernel
// writes those of IPV6_2292PKTOPTIONS, unlike all others, with a 64-bit length even to
// a 32-bit process (seen on Linux 6.18).
func ownLayout(b []byte) []byte {
	if unix.SizeofCmsghdr != 12 || len(b) < 16 {
		return b
	}
	size := binary.NativeEndian.Uint64(b)
	if size < 16 || size > uint64(len(b)) {
		return b // the length has 32 bits, and the level, which is not 0, follows
	}
	binary.NativeEndian.PutUint32(b[4:], uint32(size-4))
	return b[4:]
}

func (p *classProbe) Position() (Position, bool) { return p.infos.position() }
