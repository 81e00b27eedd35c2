package dscp

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/godscp/godscp/dialer"
	"github.com/godscp/godscp/internal/tos"
)

// A ListenConfig makes listeners whose connections carry one DSCP from the
// SYN-ACK on, and UDP sockets that carry it from the first datagram on.
//
// The zero value listens like the zero net.ListenConfig and leaves the mark as it is.
// Several goroutines may use a ListenConfig at once, as long as none changes its fields.
//
// Its TCP listeners do not use Multipath TCP, even if NetListenConfig asks for it, as
// net's listeners do by default: on such sockets Linux can neither mark IPv6 packets
// nor save the peer's SYN.
type ListenConfig struct {
	// NetListenConfig has all other options. Its Control function runs before the
	// socket is marked. The ListenConfig does not modify it. Nil means the zero
	// net.ListenConfig.
	NetListenConfig *net.ListenConfig

	// DSCP, NATSafe and AllowUnmarked are as in Dialer. An accepted connection
	// inherits the listener's mark from the kernel; Listener.Accept verifies it.
	DSCP          CodePoint
	NATSafe       bool
	AllowUnmarked bool

	// Reflect has further marks for TCP. If a peer's SYN carries one of them, the
	// listener answers with that mark, from the SYN-ACK to the end of the connection.
	// It answers every other peer with DSCP. So the client, which knows what a
	// connection is for, chooses the mark, but only among these. Listen makes one
	// socket for DSCP and one for each mark of Reflect, and returns them as one
	// Listener. Nil means that every peer is answered with DSCP.
	//
	// The mark with which the SYN arrives decides. Conn.PeerDSCP returns it; if it is
	// one of Reflect, Conn.DSCP is the same. If the kernel has answered with a SYN
	// cookie, the mark of the ACK that completes the handshake decides, and PeerDSCP
	// is not known. Under net.ipv4.tcp_reflect_tos a peer whose mark is not one of
	// Reflect is answered with its own mark. NATSafe maps Reflect too. Repeated marks,
	// DSCP itself, and marks that NATSafe makes equal are used once. With a value
	// above 63 every Listen fails. On networks other than TCP the field has no effect.
	// Wrap fails if Reflect has marks.
	//
	// Reflect works on Linux and needs no privilege. On other systems Listen fails
	// with an UnsupportedError; with AllowUnmarked it returns a listener for DSCP
	// alone.
	//
	// About other sockets on the port:
	//
	//   - If another socket listens on the port, such as that of a second instance of
	//     the program, Listen fails with EADDRINUSE.
	//   - While the listener is open, other users cannot bind the port.
	//   - A process of the same user can, since SO_REUSEPORT is set. Its socket with
	//     SO_REUSEPORT on the same address gets no connections, but it can replace the
	//     BPF program that chooses the socket for a SYN. Its socket on a more specific
	//     address than a wildcard takes the traffic for that address.
	//
	// If a connection came up with another mark than its SYN asked for, Accept returns
	// a temporary error that wraps a MarkError; with AllowUnmarked it returns the
	// connection.
	//
	// The Control function of NetListenConfig runs once for each socket. Each mark has
	// its own backlog. Until all sockets are open, and while they are closed, SYNs are
	// lost, and the peers send them again after 1 s. A socket filter drops them where
	// the kernel lets the process attach one, for which newer kernels require a
	// privilege; elsewhere IP_MINTTL and IPV6_MINHOPCOUNT do. Those let the SYN of a
	// peer on the same network that sends with TTL 255 pass, and Accept may return the
	// temporary error for it.
	Reflect []CodePoint

	// Datagrams is as in Dialer, for ListenPacket and WrapPacket.
	Datagrams []CodePoint

	// Trace, if not nil, is called once for each listener and packet socket, and
	// for each call of Accept; see Event. Goroutines that accept at the same time
	// call it at the same time.
	Trace func(Event)
}

func (lc *ListenConfig) marking() marking {
	return newMarking(lc.DSCP, lc.NATSafe, lc.AllowUnmarked)
}

// Listen announces on the local address, like [net.ListenConfig.Listen]. It returns a
// [*Listener] for the tcp networks and net's own listener for the unix networks.
//
// An error is a [net.OpError]. If the socket cannot be marked, it wraps an
// [UnsupportedError] or a [MarkError], unless AllowUnmarked is set. On macOS and the
// BSDs one socket cannot mark packets to both families, so Listen fails for a wildcard
// address of the network "tcp": listen on "tcp4" and "tcp6" instead.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if err := lc.check("listen", network, address); err != nil {
		return nil, err
	}
	if classes := lc.reflected(network); len(classes) != 0 {
		l, err := lc.listenGroup(ctx, network, address, classes)
		if err == nil {
			return l, nil
		}
		if !lc.AllowUnmarked || !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	t := tracer(lc.Trace)
	begin := t.clock()
	l, err := lc.Marked().Listen(ctx, network, address)
	t.socket("listen", network, address, lc.marking().cp, begin, l, err)
	if err != nil {
		return nil, err
	}
	if tl, ok := l.(*net.TCPListener); ok {
		return &Listener{TCPListener: tl, trace: t, network: network, address: address, marking: lc.marking()}, nil
	}
	return l, nil
}

// ListenPacket announces on the local address, like [net.ListenConfig.ListenPacket].
// It returns a [*UDPConn] for the udp networks, and net's own conn for the ip
// networks, marked but not pinned, and for the unix networks. Its errors are like
// those of [ListenConfig.Listen].
func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	if err := lc.check("listen", network, address); err != nil {
		return nil, err
	}
	t := tracer(lc.Trace)
	begin := t.clock()
	c, err := lc.listenPacket(ctx, network, address)
	t.socket("listen", network, address, lc.marking().cp, begin, c, err)
	return c, err
}

func (lc *ListenConfig) listenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	c, err := lc.Marked().ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	uc, ok := c.(*net.UDPConn)
	if !ok {
		return c, nil
	}
	pc, err := pinUDPOrClose(uc)
	pc, err = allowOrClose(pc, err, lc.datagrams())
	if err != nil {
		return nil, err
	}
	return pc, nil
}

func (lc *ListenConfig) datagrams() *datagrams {
	return newDatagrams(lc.DSCP, lc.Datagrams, lc.NATSafe, lc.AllowUnmarked)
}

// Wrap marks a listener that this package has not made, such as one from socket
// activation or a parent process, and returns it as a [*Listener]. It does not use
// lc.NetListenConfig. The socket is listening already, so a handshake that is in
// progress may show both the old mark and the new one. Wrap fails with an
// [UnsupportedError] if l is a Multipath TCP socket or if lc.Reflect has marks. If Wrap
// fails, l is left open, and its mark may have changed.
func (lc *ListenConfig) Wrap(l *net.TCPListener) (*Listener, error) {
	if l == nil {
		return nil, opError("wrap", "tcp", "", errors.New("dscp: nil listener"))
	}
	network, address := "tcp6", l.Addr().String()
	if isIPv4(l.Addr()) {
		network = "tcp4"
	}
	if err := lc.check("wrap", network, address); err != nil {
		return nil, err
	}
	if classes := lc.reflected(network); len(classes) != 0 {
		return nil, opError("wrap", network, address, errWrapReflect(network, classes[0]))
	}
	t := tracer(lc.Trace)
	begin := t.clock()
	err := lc.wrap(l, network, address)
	t.socket("wrap", network, address, lc.marking().cp, begin, l, err)
	if err != nil {
		return nil, opError("wrap", network, address, err)
	}
	return &Listener{TCPListener: l, trace: t, network: network, address: address, marking: lc.marking()}, nil
}

// wrap marks a socket that is listening already.
func (lc *ListenConfig) wrap(l *net.TCPListener, network, address string) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	if err := lc.markExisting(network, address, raw); err != nil {
		return err
	}
	_ = tos.SaveSYN(raw)
	return nil
}

// markExisting marks a socket that is in use.
func (lc *ListenConfig) markExisting(network, address string, raw syscall.RawConn) error {
	hook := lc.marking().hook()
	if hook == nil {
		return nil
	}
	err := hook(context.Background(), network, address, raw)
	if err != nil && !lc.AllowUnmarked {
		return err
	}
	return nil
}

// WrapPacket marks a UDP socket that this package has not made, such as one from socket
// activation or a parent process, and returns it pinned. It does not use
// lc.NetListenConfig. The socket may be connected. Datagrams that are sent during the
// call carry the old mark or the new one. The ECN bits of the socket do not change. If
// WrapPacket fails, c is left open, and its mark may have changed.
func (lc *ListenConfig) WrapPacket(c *net.UDPConn) (*UDPConn, error) {
	if c == nil {
		return nil, opError("wrap", "udp", "", errors.New("dscp: nil UDPConn"))
	}
	network, address := "udp6", ""
	far := c.RemoteAddr()
	if far == nil {
		far = c.LocalAddr()
	}
	if far != nil {
		address = far.String()
	}
	if isIPv4(far) {
		network = "udp4"
	}
	if err := lc.check("wrap", network, address); err != nil {
		return nil, err
	}
	t := tracer(lc.Trace)
	begin := t.clock()
	pinned, err := lc.wrapPacket(c, network, address)
	t.socket("wrap", network, address, lc.marking().cp, begin, pinned, err)
	return pinned, err
}

func (lc *ListenConfig) wrapPacket(c *net.UDPConn, network, address string) (*UDPConn, error) {
	raw, err := c.SyscallConn()
	if err == nil {
		err = lc.markExisting(network, address, raw)
	}
	if err != nil {
		return nil, opError("wrap", network, address, err)
	}
	pinned, err := PinUDP(c)
	if err != nil {
		return nil, err
	}
	if err := pinned.allow(lc.datagrams()); err != nil {
		return nil, err
	}
	return pinned, nil
}

// Marked returns a new [net.ListenConfig] that marks, for libraries that require that
// type. It is a copy of NetListenConfig with the marking hook after NetListenConfig's
// own. Its listeners and conns are net's: they do not pin the mark, and Reflect and
// Datagrams have no effect. On such a UDP conn a datagram that is sent with ECN bits in
// a control message, as quic-go does, loses the mark; give such a library a [UDPConn].
//
// On plan9, js and wasip1, net runs no hooks for listeners, so sockets stay unmarked
// there without an error.
func (lc *ListenConfig) Marked() *net.ListenConfig {
	if lc == nil {
		return dialer.WithListen(nil, failing(errNilListenConfig))
	}
	nlc := dialer.WithListen(lc.NetListenConfig, lc.marking().hook(), saveSYNHook)
	nlc.SetMultipathTCP(false)
	return nlc
}

var errNilListenConfig = errors.New("dscp: nil ListenConfig")

// Validate returns an error if every call of Listen and ListenPacket would fail because
// of the fields of lc: if lc is nil, or if a code point in DSCP, Reflect or Datagrams is
// above 63 (the error matches [ErrRange]). The error names the field. Validate makes no
// socket: it does not check whether this system can mark or reflect. A mark that is
// repeated in Reflect or Datagrams is not an error.
func (lc *ListenConfig) Validate() error {
	if lc == nil {
		return errNilListenConfig
	}
	if err := lc.DSCP.checkField("ListenConfig.DSCP"); err != nil {
		return err
	}
	if err := validateList("ListenConfig.Reflect", lc.Reflect); err != nil {
		return err
	}
	return validateList("ListenConfig.Datagrams", lc.Datagrams)
}

func (lc *ListenConfig) check(op, network, address string) error {
	err := errNilListenConfig
	if lc != nil {
		err = lc.marking().check(network)
	}
	if err == nil {
		err = lc.checkReflect(network)
	}
	if err == nil {
		err = checkDatagrams(network, lc.Datagrams, lc.NATSafe, lc.AllowUnmarked)
	}
	if err != nil {
		return opError(op, network, address, err)
	}
	return nil
}

// saveSYNHook makes a TCP listener save SYNs for PeerDSCP. If that fails, PeerDSCP
// reports false; the listener works nevertheless.
func saveSYNHook(_ context.Context, network, _ string, c syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6":
		_ = tos.SaveSYN(c)
	}
	return nil
}

// A Listener accepts pinned connections. It embeds a [net.TCPListener]. AcceptTCP
// returns net's conns, marked but not pinned; SyscallConn and File are not guarded.
//
// With [ListenConfig.Reflect] a Listener has several sockets. Accept, AcceptTCP,
// SetDeadline and Close then act on all of them. The connections of all marks take
// turns. At most one connection for each mark is accepted before Accept is called. The
// embedded TCPListener, SyscallConn and File are those of the socket for DSCP. Close
// may take a millisecond. The garbage collector closes a Listener that is no longer
// used, as it does with those of net.
//
// A Listener comes from [ListenConfig]; its zero value is not usable. Several goroutines
// may use a Listener at once.
type Listener struct {
	*net.TCPListener

	trace            tracer
	network, address string
	marking          marking
	group            *group // nil without Reflect
}

// Accept waits for the next connection and returns it as a [*Conn]. The Conn is pinned
// at the mark that the kernel gave it: the listener's mark, the mark of the peer's SYN
// if that is one of Reflect, or the peer's mark under Linux's
// net.ipv4.tcp_reflect_tos.
//
// If a connection has none of these marks, Accept closes it and returns a [net.OpError]
// that wraps a [MarkError]. The error is temporary, so the accept loops of net/http and
// grpc go on. The reason is that something else marks, or that the system does not let
// connections inherit the mark. With ListenConfig.AllowUnmarked Accept returns the
// connection; [Conn.DSCP] returns its mark.
func (l *Listener) Accept() (net.Conn, error) { return noNil(l.AcceptConn()) }

// AcceptConn is [Listener.Accept] with the concrete type, for callers that use the
// methods of [Conn].
func (l *Listener) AcceptConn() (*Conn, error) {
	c, requested, err := l.accept()
	l.trace.socket("accept", l.network, l.address, requested, time.Time{}, c, err)
	return c, err
}

func (l *Listener) accept() (c *Conn, requested CodePoint, err error) {
	if l.group != nil {
		c, requested, err = l.group.acceptConn(l.marking)
		runtime.KeepAlive(l) // otherwise the group could be closed while this waits
		return c, requested, err
	}
	c, err = acceptPinned(l.TCPListener.AcceptTCP, func(c *net.TCPConn) (*Conn, error) { return pinAccepted(c, l.marking) })
	return c, l.marking.cp, err
}

// AcceptTCP is [net.TCPListener.AcceptTCP]: the conn is marked but not pinned, and its
// mark is not verified.
func (l *Listener) AcceptTCP() (*net.TCPConn, error) {
	if l.group == nil {
		return l.TCPListener.AcceptTCP()
	}
	a, err := l.group.accept()
	runtime.KeepAlive(l)
	return a.conn, err
}

// Close is [net.TCPListener.Close]. With Reflect, SYNs that arrive during Close are lost,
// not refused.
func (l *Listener) Close() error {
	if l.group == nil {
		return l.TCPListener.Close()
	}
	return l.group.Close()
}

// SetDeadline is [net.TCPListener.SetDeadline].
func (l *Listener) SetDeadline(t time.Time) error {
	if l.group == nil {
		return l.TCPListener.SetDeadline(t)
	}
	return l.group.setDeadline(t)
}

// File is [net.TCPListener.File]. With Reflect it returns the socket for DSCP. While l
// is open, that socket and l compete for the connections whose SYN has none of the
// marks of Reflect. After l is closed, the socket is an ordinary listener that answers
// every SYN with DSCP. A duplicate made through SyscallConn instead of File loses all
// SYNs after l is closed.
func (l *Listener) File() (*os.File, error) {
	if l.group != nil {
		l.group.lent.Store(true)
	}
	return l.TCPListener.File()
}

// acceptPinned accepts and pins a conn. It leaves out conns that their peers have reset
// already.
func acceptPinned(accept func() (*net.TCPConn, error), pin func(*net.TCPConn) (*Conn, error)) (*Conn, error) {
	for {
		c, err := accept()
		if err != nil {
			return nil, err
		}
		conn, err := pin(c)
		if resetByPeer(err) {
			continue // the error would end the accept loops of servers
		}
		return conn, err
	}
}
