package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A sockDiag asks the kernel what the IP_TOS or IPV6_TCLASS of a socket is set to
// (sock_diag(7)). The socket may belong to any process and user in this network
// namespace. The kernel answers within the system call that asks.
type sockDiag struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf [diagBufferLen]byte
}

// From linux/inet_diag.h and sock_diag(7).
const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagTOS          = 5  // INET_DIAG_TOS
	diagTClass       = 6  // INET_DIAG_TCLASS

	diagRequestLen = 16 + 56 // nlmsghdr, inet_diag_req_v2
	diagReplyLen   = 72      // inet_diag_msg

	diagBufferLen = 16 << 10 // what the kernel returns of a dump at once, at most
)

// Some TCP states, from include/net/tcp_states.h of Linux.
const (
	stateTimeWait   = 6
	stateListen     = 10
	stateNewSynRecv = 12
)

// loopbackIndex is the index of lo in every network namespace (LOOPBACK_IFINDEX
// in Linux). The sockets that a box asks about send through lo. A question without
// an interface finds no socket that is bound to one.
const loopbackIndex = 1

func openSockDiag() (*sockDiag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, &optionError{"NETLINK_SOCK_DIAG", err}
	}
	// A kernel without the diag module may not answer. The box must not hang.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		unix.Close(fd)
		return nil, &optionError{"SO_RCVTIMEO", err}
	}
	return &sockDiag{fd: fd}, nil
}

// try asks about a listener that it opens.
func (d *sockDiag) try(v6 bool) error {
	address := "127.0.0.1:0"
	if v6 {
		address = "[::1]:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	a, err := d.listener(AddrPort(l.Addr()))
	if err != nil {
		return fmt.Errorf("no answer about a listener on %v: %w", l.Addr(), err)
	}
	if _, ok := a.mark(AddrPort(l.Addr()).Addr()); !ok {
		return fmt.Errorf("no mark in the answer about a listener on %v", l.Addr())
	}
	return nil
}

func (d *sockDiag) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return nil
	}
	err := unix.Close(d.fd)
	d.fd = -1
	return err
}

// A diagRequest is an encoded question about one socket.
type diagRequest [diagRequestLen]byte

// newDiagRequest encodes the question about the TCP socket with these ends. If the port
// of remote is 0, it asks for the listener on local.
func newDiagRequest(local, remote netip.AddrPort) diagRequest {
	return newRequest(unix.IPPROTO_TCP, local, remote)
}

func newRequest(protocol byte, local, remote netip.AddrPort) diagRequest {
	var r diagRequest
	binary.NativeEndian.PutUint32(r[0:], diagRequestLen)
	binary.NativeEndian.PutUint16(r[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(r[6:], unix.NLM_F_REQUEST)
	family := byte(unix.AF_INET6)
	if local.Addr().Is4() {
		family = unix.AF_INET
	}
	r[16], r[17] = family, protocol
	r[18] = 1<<(diagTOS-1) | 1<<(diagTClass-1)
	binary.NativeEndian.PutUint32(r[20:], ^uint32(0)) // any state
	binary.BigEndian.PutUint16(r[24:], local.Port())
	binary.BigEndian.PutUint16(r[26:], remote.Port())
	copy(r[28:44], local.Addr().AsSlice())
	copy(r[44:60], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint32(r[60:], loopbackIndex)
	for i := 64; i < 72; i++ {
		r[i] = 0xff // INET_DIAG_NOCOOKIE
	}
	return r
}

// A diagAnswer is what the kernel reports about a socket.
type diagAnswer struct {
	state            uint8
	tos, class       uint8
	hasTOS, hasClass bool
	cookie           uint64 // unique among all sockets ever
	bound            bound
}

// bound is what a socket is bound to besides its port, as the kernel writes it.
type bound struct {
	family  byte
	address [16]byte
	device  uint32
}

// alive reports whether the socket is one of a connection that can send.
func (a diagAnswer) alive() bool {
	return a.state != stateTimeWait && a.state != stateListen && a.state != stateNewSynRecv
}

// mark returns the mark of what the socket with this address sends.
func (a diagAnswer) mark(addr netip.Addr) (dscp.CodePoint, bool) {
	if addr.Is4() {
		return dscp.FromTOS(a.tos), a.hasTOS
	}
	return dscp.FromTOS(a.class), a.hasClass
}

// do sends a question and returns the answer. It fails if that is about another
// socket.
func (d *sockDiag) do(r *diagRequest) (diagAnswer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.exchange(r)
	if err != nil {
		return diagAnswer{}, err
	}
	return parseDiag(b, r)
}

// udpSocket returns the socket on local that datagrams from remote reach.
func (d *sockDiag) udpSocket(local, remote netip.AddrPort) (UDPSocket, error) {
	r := newRequest(unix.IPPROTO_UDP, remote, local) // for UDP the kernel takes the two the other way round
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.exchange(&r)
	switch {
	case err != nil:
		return UDPSocket{}, err
	case binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR && len(b) >= 20:
		if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(b[16:]))); errno != unix.ENOENT {
			return UDPSocket{}, errno
		}
		return UDPSocket{}, nil
	case len(b) < 16+diagReplyLen:
		return UDPSocket{}, unix.EBADMSG
	case binary.BigEndian.Uint16(b[16+4:]) != local.Port():
		return UDPSocket{}, nil
	}
	m := b[16:]
	return UDPSocket{ID: cookieIn(m), Queued: binary.NativeEndian.Uint32(m[56:])}, nil
}

// cookieIn returns the cookie in an inet_diag_msg.
func cookieIn(m []byte) uint64 { return binary.NativeEndian.Uint64(m[44:]) }

// exchange sends a question and returns the answer, which is valid until the next
// question. d.mu is held.
func (d *sockDiag) exchange(r *diagRequest) ([]byte, error) {
	if err := d.send(r); err != nil {
		return nil, err
	}
	return d.receive()
}

// send sends a question. d.mu is held.
func (d *sockDiag) send(r *diagRequest) error {
	if d.fd < 0 {
		return net.ErrClosed
	}
	d.seq++
	binary.NativeEndian.PutUint32(r[8:], d.seq)
	for {
		if _, err := unix.Write(d.fd, r[:]); err != unix.EINTR {
			return err
		}
	}
}

// receive returns what the kernel answers to the latest question: one message, or some
// of a dump. It is valid until the next call. d.mu is held.
func (d *sockDiag) receive() ([]byte, error) {
	for {
		n, err := unix.Read(d.fd, d.buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if b := d.buf[:n]; n >= 16 && binary.NativeEndian.Uint32(b[8:]) == d.seq {
			return b, nil
		}
	}
}

// dump asks for all sockets that fit r and calls f with each.
func (d *sockDiag) dump(r diagRequest, f func(diagAnswer)) error {
	binary.NativeEndian.PutUint16(r[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.send(&r); err != nil {
		return err
	}
	for {
		b, err := d.receive()
		if err != nil {
			return err
		}
		for len(b) > 0 {
			if len(b) < 16 {
				return unix.EBADMSG
			}
			size := int(binary.NativeEndian.Uint32(b))
			if size < 16 || size > len(b) {
				return unix.EBADMSG
			}
			if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_DONE {
				return doneError(b[16:size])
			}
			a, err := parseDiag(b[:size], &r)
			if err != nil {
				return err
			}
			f(a)
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// doneError returns the error in the message that ends a dump.
func doneError(b []byte) error {
	if len(b) < 4 {
		return nil
	}
	if result := int32(binary.NativeEndian.Uint32(b)); result < 0 {
		return unix.Errno(-result)
	}
	return nil
}

// parseDiag decodes one netlink message that answers r.
func parseDiag(b []byte, r *diagRequest) (diagAnswer, error) {
	var a diagAnswer
	if n := int(binary.NativeEndian.Uint32(b)); n >= 16 && n < len(b) {
		b = b[:n]
	}
	if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
		if len(b) < 20 {
			return a, unix.EBADMSG
		}
		return a, unix.Errno(-int32(binary.NativeEndian.Uint32(b[16:])))
	}
	if len(b) < 16+diagReplyLen {
		return a, unix.EBADMSG
	}
	m := b[16:]
	// The kernel reports a listener when there is no such connection, so the
	// ports are compared here and the state by the caller. Addresses are not
	// compared: those of an IPv6 socket with an IPv4 peer are mapped ones.
	if string(m[4:8]) != string(r[24:28]) {
		return a, unix.ENOENT
	}
	a.state, a.cookie = m[1], cookieIn(m)
	a.bound = bound{m[0], [16]byte(m[8:24]), binary.NativeEndian.Uint32(m[40:])}
	for at := m[diagReplyLen:]; len(at) >= 5; {
		size, kind := int(binary.NativeEndian.Uint16(at)), binary.NativeEndian.Uint16(at[2:])
		if size < 5 || size > len(at) {
			break
		}
		switch kind {
		case diagTOS:
			a.tos, a.hasTOS = at[4], true
		case diagTClass:
			a.class, a.hasClass = at[4], true
		}
		at = at[min((size+3)&^3, len(at)):]
	}
	return a, nil
}

// listener returns a socket that listens on addr, with any address at the other end.
func (d *sockDiag) listener(addr netip.AddrPort) (diagAnswer, error) {
	r := newListenerRequest(addr)
	a, err := d.do(&r)
	if err == nil && a.state != stateListen {
		err = unix.ENOENT
	}
	return a, err
}

// errSeveral says that the sockets that listen on an address have different marks.
var errSeveral = errors.New("sockets with different marks listen on the address")

// listenerMark returns the mark that the listener on addr is set to. Several may
// share the address (SO_REUSEPORT). Then the kernel chooses one for each SYN, so all
// must have the same mark.
func (d *sockDiag) listenerMark(addr netip.AddrPort) (dscp.CodePoint, error) {
	one, err := d.listener(addr)
	if err != nil {
		return 0, err
	}
	mark, ok := one.mark(addr.Addr())
	if !ok {
		return 0, unix.ENODATA
	}
	r := newListenerRequest(addr)
	r[16] = one.bound.family // AF_INET6 if one takes both families, for an IPv4 addr as well
	binary.NativeEndian.PutUint32(r[20:], 1<<stateListen)
	err = d.dump(r, func(other diagAnswer) {
		if cp, _ := other.mark(addr.Addr()); other.bound == one.bound && cp != mark {
			ok = false
		}
	})
	if err == nil && !ok {
		err = errSeveral
	}
	return mark, err
}

// newListenerRequest encodes the question about the listener on addr.
func newListenerRequest(addr netip.AddrPort) diagRequest {
	noPeer := netip.IPv6Unspecified()
	if addr.Addr().Is4() {
		noPeer = netip.IPv4Unspecified()
	}
	return newDiagRequest(addr, netip.AddrPortFrom(noPeer, 0))
}

// A diagProbe asks for the option of the socket at the other end of an IPv4
// connection.
type diagProbe struct {
	diag    *sockDiag
	request diagRequest
	infos   infoReader

	// Another socket may get the addresses of the connection before this end
	// learns that the first is gone.
	cookie uint64 // of the first; 0 until it has been found
	gone   bool   // the first will not be found again
}

// newDiagProbe returns the probe of a connection that was accepted or dialled. If the
// socket of a client is not found now, it is gone. The socket of a server may appear
// later.
func newDiagProbe(d *sockDiag, c *net.TCPConn, accepted bool) (*diagProbe, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	theirs, ours := AddrPort(c.RemoteAddr()), AddrPort(c.LocalAddr())
	p := &diagProbe{diag: d, request: newDiagRequest(theirs, ours), infos: newInfoReader(raw)}
	if _, ok := p.Mark(); !ok {
		p.gone = accepted
	}
	return p, nil
}

func (p *diagProbe) Mark() (dscp.CodePoint, bool) {
	if p.gone {
		return 0, false
	}
	a, err := p.diag.do(&p.request)
	if err != nil || !a.hasTOS || !a.alive() {
		return 0, false
	}
	if p.cookie == 0 {
		p.cookie = a.cookie
	}
	if p.gone = a.cookie != p.cookie; p.gone {
		return 0, false
	}
	return dscp.FromTOS(a.tos), true
}

func (p *diagProbe) Position() (Position, bool) { return p.infos.position() }
