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
// The zero value listens as the zero net.ListenConfig and leaves the mark as it
// is. A ListenConfig may be used by several goroutines at once, as long as none
// changes its fields.
//
// Its TCP listeners are plain TCP: Multipath TCP, which net's listeners ask for
// by default, is switched off, whatever NetListenConfig says. On such sockets
// Linux can neither mark IPv6 nor save the peer's SYN.
type ListenConfig struct {
	// NetListenConfig has all other options, a Control function of your own
	// among them, which runs before the marking. It is never modified. Nil
	// means the zero net.ListenConfig.
	NetListenConfig *net.ListenConfig

	// DSCP, NATSafe and AllowUnmarked are as in Dialer. The kernel hands the
	// listener's mark on to the conns it accepts; [Listener.Accept] looks whether
	// it has.
	DSCP          CodePoint
	NATSafe       bool
	AllowUnmarked bool

	// Reflect has further marks for TCP: a peer whose SYN carries one of them is
	// answered with it, from the SYN-ACK to the end of the connection, and every
	// other peer with DSCP. So the client, which knows what a connection is for,
	// chooses its class, but only among these. Listen makes one socket for DSCP and
	// one for each of Reflect, which look like one [Listener].
	//
	// What counts is the mark with which the SYN arrives; Conn.PeerDSCP tells it, and
	// agrees with Conn.DSCP if it is one of Reflect. If the kernel has answered with a
	// SYN cookie, the mark of the ACK that completes the handshake counts, and
	// PeerDSCP is not known. Under net.ipv4.tcp_reflect_tos a peer whose mark is not
	// one of Reflect is answered with its own. NATSafe maps Reflect too. To repeat a
	// mark, or DSCP, is no mistake, nor are two that NATSafe makes one: each is used
	// once. A value above 63 fails every Listen. On networks other than TCP it has no
	// effect, and Wrap cannot do it.
	//
	// Linux, without privilege. Where the system cannot, Listen fails with an
	// UnsupportedError; with AllowUnmarked it returns a listener for DSCP alone.
	//
	// The port is as exclusive as that of one socket at the time when it is opened:
	// if anybody listens there, a second instance of the program included, Listen
	// fails with EADDRINUSE. While it is open, other users cannot bind it either. But
	// since SO_REUSEPORT is set, a process of the same user can: a socket of its own
	// with SO_REUSEPORT on the same address gets no connections, but can replace the
	// program that chooses, and one on a more specific address than a wildcard takes
	// the traffic for that address. Accept returns a temporary error, which wraps a
	// [MarkError], instead of a connection that came up in a class which its SYN did
	// not ask for (with AllowUnmarked it returns the connection).
	//
	// The Control function of NetListenConfig runs once for each socket. The backlog is
	// one for each class. Until all sockets are there, and again while they are closed,
	// SYNs are lost, and their peers send them again after 1 s. A filter of the socket
	// does that where the kernel lets this process attach one, which on newer kernels
	// takes a privilege; elsewhere IP_MINTTL and IPV6_MINHOPCOUNT do, and a peer on the
	// same network that sends with TTL 255 may meet the error of Accept instead.
	Reflect []CodePoint

	// Datagrams is as in Dialer, for ListenPacket and WrapPacket.
	Datagrams []CodePoint

	// Trace, if not nil, is called once for each listener and packet socket,
	// and for each connection that a Listener accepts; see Event. Several
	// goroutines that accept call it at once.
	Trace func(Event)
}

func (lc *ListenConfig) marking() marking {
	return newMarking(lc.DSCP, lc.NATSafe, lc.AllowUnmarked)
}

// Listen announces on the local address, as [net.ListenConfig.Listen] does. It
// returns a [*Listener] for the tcp networks and net's own listener for the
// unix networks.
//
// Where the system cannot mark packets to both families from one socket (macOS,
// the BSDs), a wildcard address that takes both is an [UnsupportedError]: listen
// on "tcp4" and "tcp6" instead.
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

// ListenPacket announces on the local address, as
// [net.ListenConfig.ListenPacket] does. It returns a [*UDPConn] for the udp
// networks, and net's own conn for the ip networks, marked but not pinned, and
// for the unix networks.
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

// Wrap marks a listener that was made elsewhere, by socket activation or by a
// parent process, and returns it as a [*Listener]; lc.NetListenConfig is not
// used. The socket is listening already, so a handshake that is in progress may
// see both the old mark and the new. A listener on a Multipath TCP socket cannot
// be marked, and none can be made to reflect: with marks in lc.Reflect Wrap fails
// with an [UnsupportedError]. If Wrap fails, l is left open and keeps what marks it had got.
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

// wrap marks a listener that is listening already.
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

// markExisting marks a socket that is in use already.
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

// WrapPacket marks a UDP socket that was made elsewhere, by socket activation or
// by a parent process, and returns it pinned; lc.NetListenConfig is not used. The
// socket may be connected. Datagrams that it has sent before carry the old mark,
// and those that are sent meanwhile either. Its ECN bits stay. If WrapPacket fails,
// c is left open and keeps what marks it had got.
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

// Marked returns a new [net.ListenConfig] that marks, for libraries that insist
// on that type. It is NetListenConfig with a hook behind its own. What its
// listeners accept is bare: nothing pins the mark, and Reflect and Datagrams have no
// part in it. A bare UDP socket loses its mark on every datagram that is sent with ECN
// bits in a control message, as quic-go sends them: give such a library a [UDPConn]. On
// plan9, js and wasip1 net runs no hooks for listeners: those stay unmarked.
func (lc *ListenConfig) Marked() *net.ListenConfig {
	if lc == nil {
		return dialer.WithListen(nil, failing(errNilListenConfig))
	}
	nlc := dialer.WithListen(lc.NetListenConfig, lc.marking().hook(), saveSYNHook)
	nlc.SetMultipathTCP(false)
	return nlc
}

var errNilListenConfig = errors.New("dscp: nil ListenConfig")

// Validate returns an error for what would fail every call of Listen and
// ListenPacket: a nil ListenConfig, a code point above 63 in DSCP, Reflect or
// Datagrams (the error matches [ErrRange]). It makes no socket: whether this system
// can mark, or reflect, is not asked. To repeat a mark in one of the lists, or DSCP,
// is no mistake, and nor are two marks of Reflect that NATSafe makes one: each is used
// once.
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

// saveSYNHook prepares TCP listeners for PeerDSCP, which can say that it does not
// know, so a failure is not an error.
func saveSYNHook(_ context.Context, network, _ string, c syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6":
		_ = tos.SaveSYN(c)
	}
	return nil
}

// A Listener accepts pinned connections. It embeds net's own listener; AcceptTCP
// returns bare conns, marked but not pinned, and SyscallConn and File are net's own.
//
// With [ListenConfig.Reflect] several sockets are behind it. Accept, AcceptTCP,
// SetDeadline and Close are then those of all, and work as those of one socket. The
// connections of all classes take turns. Up to one for each class has been accepted
// before Accept asks for it. The embedded TCPListener, SyscallConn and File are those
// of the socket for DSCP. Close may wait for a millisecond. A Listener that is no
// longer used is closed by the garbage collector, as net's are.
//
// A Listener may be used by several goroutines at once.
type Listener struct {
	*net.TCPListener

	trace            tracer
	network, address string
	marking          marking
	group            *group // nil without Reflect
}

// Accept waits for the next connection and returns it as a [*Conn]. It is pinned
// at the mark that the kernel gave it: the listener's, that of the peer's SYN if it is
// one of Reflect, or the peer's where the system reflects it (Linux's
// net.ipv4.tcp_reflect_tos).
//
// A conn that has none of these, since something else marks or the system hands no
// mark on, is closed, and the error is a [net.OpError] with a [MarkError] in it, whose
// Temporary method reports true: the loops of net/http and grpc go on. With
// ListenConfig.AllowUnmarked the conn is returned; [Conn.DSCP] tells its mark.
func (l *Listener) Accept() (net.Conn, error) { return noNil(l.AcceptConn()) }

// AcceptConn is [Listener.Accept] without the need of a type assertion.
func (l *Listener) AcceptConn() (*Conn, error) {
	c, requested, err := l.accept()
	l.trace.socket("accept", l.network, l.address, requested, time.Time{}, c, err)
	return c, err
}

func (l *Listener) accept() (c *Conn, requested CodePoint, err error) {
	if l.group != nil {
		c, requested, err = l.group.acceptConn(l.marking)
		runtime.KeepAlive(l) // or the group would be closed while this waits
		return c, requested, err
	}
	c, err = acceptPinned(l.TCPListener.AcceptTCP, func(c *net.TCPConn) (*Conn, error) { return pinAccepted(c, l.marking) })
	return c, l.marking.cp, err
}

// AcceptTCP is [net.TCPListener.AcceptTCP]: the conn is marked, but nothing pins it.
func (l *Listener) AcceptTCP() (*net.TCPConn, error) {
	if l.group == nil {
		return l.TCPListener.AcceptTCP()
	}
	a, err := l.group.accept()
	runtime.KeepAlive(l)
	return a.conn, err
}

// Close is [net.TCPListener.Close]. With Reflect, SYNs that arrive while the sockets are
// closed, one after another, are lost; after that they are refused.
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
// is open, that accepts what has another mark than those of Reflect, in turns with l.
// Once l is closed it is a listener like any other, which answers every SYN with DSCP.
// A socket that was duplicated by SyscallConn instead loses all SYNs from then on.
func (l *Listener) File() (*os.File, error) {
	if l.group != nil {
		l.group.lent.Store(true)
	}
	return l.TCPListener.File()
}

// acceptPinned returns the first conn of accept that pin can be asked about.
func acceptPinned(accept func() (*net.TCPConn, error), pin func(*net.TCPConn) (*Conn, error)) (*Conn, error) {
	for {
		c, err := accept()
		if err != nil {
			return nil, err
		}
		conn, err := pin(c)
		if resetByPeer(err) {
			continue // its peer has left already: no fault of the listener, which net's servers would end for it
		}
		return conn, err
	}
}
