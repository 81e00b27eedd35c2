package dscp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/godscp/godscp/dialer"
)

// A Dialer makes connections that carry one DSCP from the first packet on, the
// SYN included, and cannot be made to change it. It does so in the hook that
// [net.Dialer] has for the time before connect.
//
// The zero value dials as the zero net.Dialer and leaves the mark as it is; the
// conns it returns are pinned at that. A Dialer may be used by several
// goroutines at once, as long as none changes its fields.
//
// Which systems mark, and how, is in the package comment. DNS lookups use unmarked
// sockets, unless NetDialer.Resolver dials through a marked Dialer.
type Dialer struct {
	// NetDialer has all other options: timeouts, the local address, keep-alive,
	// a Control or ControlContext function of your own, which runs before the
	// marking and sees the unmarked socket. It is never modified. Nil means the
	// zero net.Dialer.
	//
	// On Linux the marking of IPv4 sets the socket's SO_PRIORITY, over one that
	// your function has set.
	//
	// Multipath TCP is switched off for marked connections, whatever NetDialer
	// asks for: Linux cannot mark IPv6 on such sockets.
	NetDialer *net.Dialer

	// DSCP is the mark. The zero value, DF, leaves sockets as they are; it does
	// not force 0. A value above 63 fails every dial before a socket is made.
	// Mind the unit: 0x20 is CS4, not CS1; see CodePoint.
	DSCP CodePoint

	// NATSafe marks with DSCP.NATSafe() instead, for networks behind boxes that
	// reset a flow whose precedence bits change. It maps Fallback, too.
	NATSafe bool

	// Fallback has further marks for TCP, for paths that lose or refuse packets
	// marked with DSCP: some wifi drivers and policers drop the SYN. If a
	// connection with one mark is not up within FallbackDelay, or fails in a way
	// that the mark may have caused, another connection is tried with the next
	// mark. The first to come up is returned, Conn.DSCP tells its mark, and the
	// others are closed; a connection never changes its mark. End with DF if
	// connecting matters more than the mark:
	//
	//	dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}}
	//
	// These failures start the attempt with the next mark at once: a timeout, a
	// refused or reset connection, an unreachable host, network or protocol, and
	// a refusal by the system's own routes or filters (EPERM, EACCES). A port on
	// which nobody listens therefore gets one SYN for each mark, at each address
	// of the name. If every mark is refused, the error is net's own "connection
	// refused", as without a mark. A name that does not resolve, a socket that
	// cannot be marked and every other failure with the first mark end the dial.
	// Repeated marks are skipped.
	//
	// NetDialer's Timeout and Deadline, and the context, hold for all marks
	// together: leave each its FallbackDelay. A name that has several addresses
	// is looked up and dialled with each mark as net would. A fixed local port
	// allows one connection at a time, so there each gives up after
	// FallbackDelay.
	//
	// TCP Fast Open is switched off (Linux, TCP_FASTOPEN_CONNECT), even if a
	// Control function of NetDialer has switched it on: it reports a connection
	// as up before the SYN is sent.
	//
	// UDP has no handshake that could fail, so there, and on all other networks,
	// Fallback has no effect. Nor has it on systems that do not mark.
	Fallback []CodePoint

	// FallbackDelay is how long a connection is waited for, once its name has
	// been looked up, before the next of Fallback is tried beside it. Zero means
	// 1.5 s: a SYN that was lost by chance is sent again after 1 s (RFC 6298),
	// and shorter delays would take that for the mark's fault. A negative value
	// fails every dial.
	//
	// It is not net.Dialer's field of that name: that one, 300 ms by default,
	// lies between two address families of one name (Happy Eyeballs, RFC 6555),
	// and works within each of our attempts, if NetDialer does not switch it off.
	FallbackDelay time.Duration

	// Datagrams has further marks for UDP, which single datagrams may carry: those
	// written by UDPConn.WriteMarked, and those whose control messages ask for one.
	// RFC 7657, section 5.1, allows several marks on one pair of UDP ports, as RTP
	// and WebRTC need (RFC 8837). All other datagrams carry DSCP. If Datagrams is
	// empty there is one mark, DSCP. NATSafe maps Datagrams too. To repeat a mark,
	// or DSCP, changes nothing. A value above 63 fails every dial. On networks
	// other than UDP it has no effect.
	//
	// Where the system cannot mark single datagrams, a UDP dial fails with an
	// UnsupportedError unless AllowUnmarked is set; see the package comment.
	Datagrams []CodePoint

	// AllowUnmarked lets a dial go on where the socket cannot be marked, for
	// whatever reason: by default that fails with an UnsupportedError or a
	// MarkError. Conn.DSCP tells what the conn really carries. On Linux a mark
	// that was taken is read back when the connection is up, and one that is not
	// held then, since something else has changed it, fails the dial likewise.
	AllowUnmarked bool

	// Memory, if not nil, makes a dial start with the mark of Fallback that came
	// up last time. The others follow in their order.
	Memory *Memory

	// Trace, if not nil, is called once for each socket, when it is clear what
	// became of it; see Event. Under Fallback that can be after the dial has
	// returned, and from several goroutines at once.
	Trace func(Event)
}

func (d *Dialer) marking() marking {
	return newMarking(d.DSCP, d.NATSafe, d.AllowUnmarked)
}

// Dial connects as [Dialer.DialContext] does with [context.Background].
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to the address on the named network, as
// [net.Dialer.DialContext] does. It returns
//
//   - a [*Conn] for the tcp networks,
//   - a [*UDPConn] for the udp networks,
//   - net's own conn for the ip networks, marked but not pinned, and for the
//     unix networks, which know no marks.
//
// Errors are those of net, [net.OpError] with the address in it; if the dial
// was marked, the text inside names the code point. A socket that cannot be
// marked is an [UnsupportedError] or a [MarkError], unless AllowUnmarked is set.
// With several marks of Fallback the error inside has an Unwrap() []error method,
// which returns one error for each mark, in the order of the attempts; if every
// mark was refused, it is net's own.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.check(network, address); err != nil {
		return nil, err
	}
	if marks := d.fallbackMarks(network); marks != nil {
		return noNil(d.fallback(network, address, marks).dial(ctx))
	}
	t := tracer(d.Trace)
	begin := t.clock()
	c, err := d.dialOnce(ctx, network, address)
	err = withCodePoint(err, d.marking().cp)
	t.socket("dial", network, address, d.marking().cp, begin, c, err)
	return c, err
}

// dialOnce makes one connection, marked and pinned.
func (d *Dialer) dialOnce(ctx context.Context, network, address string) (net.Conn, error) {
	m := d.marking()
	nd := dialer.With(d.NetDialer, m.dialHook())
	m.keepMPTCPOut(nd)
	c, err := nd.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	switch c := c.(type) {
	case *net.TCPConn:
		return noNil(pinDialed(c, m))
	case *net.UDPConn:
		return noNil(d.pinUDP(c))
	}
	return c, nil
}

// DialTCP connects like [net.Dialer.DialTCP] and returns a pinned conn; see
// there for what laddr and raddr may be. NetDialer.LocalAddr is not used.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*Conn, error) {
	if err := d.check(network, raddr.String()); err != nil {
		return nil, err
	}
	if marks := d.fallbackMarks(network); marks != nil {
		return d.fallbackTCP(network, laddr, raddr, marks).dial(ctx)
	}
	t := tracer(d.Trace)
	begin := t.clock()
	c, err := d.dialTCPOnce(ctx, network, laddr, raddr)
	err = withCodePoint(err, d.marking().cp)
	t.socket("dial", network, raddr.String(), d.marking().cp, begin, c, err)
	return c, err
}

func (d *Dialer) dialTCPOnce(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*Conn, error) {
	m := d.marking()
	nd := dialer.With(d.NetDialer, m.dialHook())
	m.keepMPTCPOut(nd)
	c, err := nd.DialTCP(ctx, network, laddr, raddr)
	if err != nil {
		return nil, err
	}
	return pinDialed(c, m)
}

// DialUDP connects like [net.Dialer.DialUDP] and returns a pinned conn; see
// there for what laddr and raddr may be. NetDialer.LocalAddr is not used.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*UDPConn, error) {
	if err := d.check(network, raddr.String()); err != nil {
		return nil, err
	}
	t := tracer(d.Trace)
	begin := t.clock()
	c, err := d.dialUDPOnce(ctx, network, laddr, raddr)
	err = withCodePoint(err, d.marking().cp)
	t.socket("dial", network, raddr.String(), d.marking().cp, begin, c, err)
	return c, err
}

func (d *Dialer) dialUDPOnce(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*UDPConn, error) {
	c, err := d.Marked().DialUDP(ctx, network, laddr, raddr)
	if err != nil {
		return nil, err
	}
	return d.pinUDP(c)
}

// pinUDP pins a conn that nobody else has.
func (d *Dialer) pinUDP(c *net.UDPConn) (*UDPConn, error) {
	conn, err := pinUDPOrClose(c)
	return allowOrClose(conn, err, newDatagrams(d.DSCP, d.Datagrams, d.NATSafe, d.AllowUnmarked))
}

// Marked returns a new [net.Dialer] that marks, for libraries that insist on
// that type or on getting a *net.TCPConn: grpc-go sets TCP_USER_TIMEOUT only on
// such. It is NetDialer with a hook behind its own. Its conns are bare: nothing
// pins the mark, and Fallback and Datagrams have no part in it. A bare UDP socket
// loses its mark on every datagram that is sent with ECN bits in a control message,
// as quic-go sends them: give such a library a [UDPConn].
//
// On plan9 net runs no hooks, so there its sockets are silently unmarked.
func (d *Dialer) Marked() *net.Dialer {
	if d == nil {
		return dialer.With(nil, failing(errNilDialer))
	}
	return d.marked(d.marking().cp)
}

// marked is Marked for a code point that NATSafe has been applied to.
func (d *Dialer) marked(cp CodePoint) *net.Dialer {
	m := marking{cp, d.AllowUnmarked}
	nd := dialer.With(d.NetDialer, m.hook())
	m.keepMPTCPOut(nd)
	return nd
}

var errNilDialer = errors.New("dscp: nil Dialer")

// check finds what would fail for every address, before there is a socket.
func (d *Dialer) check(network, address string) error {
	err := errNilDialer
	if d != nil {
		err = d.marking().check(network)
	}
	if err == nil {
		err = d.checkFallback(network)
	}
	if err == nil {
		err = checkDatagrams(network, d.Datagrams, d.NATSafe, d.AllowUnmarked)
	}
	if err != nil {
		return opError("dial", network, address, err)
	}
	return nil
}

// Validate returns an error for what would fail every dial: a nil Dialer, a code
// point above 63 in DSCP, Fallback or Datagrams (the error matches [ErrRange]), a negative
// FallbackDelay. A program that reads its marks from a configuration calls it
// before it starts. It makes no socket: whether this system can mark is not asked,
// nor whether an address can be reached. To repeat a mark in Fallback, or DSCP
// itself, is no mistake: repeated marks are skipped.
func (d *Dialer) Validate() error {
	if d == nil {
		return errNilDialer
	}
	if err := d.DSCP.checkField("Dialer.DSCP"); err != nil {
		return err
	}
	if err := validateList("Dialer.Fallback", d.Fallback); err != nil {
		return err
	}
	if err := d.checkFallbackDelay(); err != nil {
		return err
	}
	return validateList("Dialer.Datagrams", d.Datagrams)
}

// failing returns a hook that fails with err.
func failing(err error) dialer.Hook {
	return func(context.Context, string, string, syscall.RawConn) error { return err }
}

// noNil keeps a nil *Conn or *UDPConn from becoming a net.Conn that is not nil.
func noNil[C net.Conn](c C, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}
