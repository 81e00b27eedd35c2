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

// A Dialer makes connections that carry one DSCP from the first packet on, the SYN
// included, and that refuse to change it. It marks in the hook that [net.Dialer] runs
// before connect.
//
// The zero value dials like the zero net.Dialer and leaves the mark as it is; the
// conns that it returns are pinned at that mark. Several goroutines may use a Dialer
// at once, as long as none changes its fields.
//
// The package comment says which systems can mark. DNS lookups use unmarked sockets
// unless NetDialer.Resolver dials through a marked Dialer.
type Dialer struct {
	// NetDialer has all other options, such as timeouts, the local address and
	// keep-alive. Its Control or ControlContext function runs before the socket is
	// marked. The Dialer does not modify NetDialer. Nil means the zero net.Dialer.
	//
	// On Linux, marking IPv4 packets also sets the socket's SO_PRIORITY, even if the
	// Control function has set another.
	//
	// Marked connections do not use Multipath TCP, even if NetDialer asks for it:
	// Linux cannot mark IPv6 packets of such sockets.
	NetDialer *net.Dialer

	// DSCP is the mark, a code point from 0 to 63. The zero value, DF, leaves
	// sockets as they are; it does not set them to 0. With a value above 63 every
	// dial fails before a socket is made. The value is not a TOS octet: 0x20 is CS4,
	// not CS1; see CodePoint.
	DSCP CodePoint

	// NATSafe makes the Dialer mark with DSCP.NATSafe() instead of DSCP, for networks
	// behind boxes that reset a flow whose precedence bits change. It maps Fallback
	// and Datagrams, too.
	NATSafe bool

	// Fallback has further marks for TCP, for paths that lose or refuse packets
	// marked with DSCP: some Wi-Fi drivers and policers drop the SYN. If a
	// connection with one mark is not up within FallbackDelay, or fails in a way
	// that the mark may have caused, the Dialer starts another connection with the
	// next mark. It returns the first connection that comes up and closes the others;
	// Conn.DSCP returns its mark. No connection changes its mark. End with DF if
	// connecting matters more than the mark:
	//
	//	dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}}
	//
	// These failures start the attempt with the next mark at once: a timeout, a
	// refused or reset connection, an unreachable host, network or protocol, and
	// a refusal by the system's own routes or filters (EPERM, EACCES). A closed port
	// therefore gets one SYN for each mark, at each address of the name. If every
	// mark is refused, the error is net's own "connection refused", as without a
	// mark. A name that does not resolve, a socket that cannot be marked and every
	// other failure with the first mark end the dial. Repeated marks are skipped.
	//
	// NetDialer's Timeout and Deadline, and the context, hold for all attempts
	// together, so they should allow one FallbackDelay for each mark. Each attempt
	// looks up a name, and dials its addresses, as net does. Two connections cannot
	// have the same local port, so with a fixed one each attempt ends after
	// FallbackDelay.
	//
	// TCP Fast Open (Linux, TCP_FASTOPEN_CONNECT) is switched off, even if a Control
	// function of NetDialer has switched it on: with it a connection is reported as
	// up before the SYN is sent.
	//
	// On all networks other than TCP, and on systems that cannot mark, Fallback has
	// no effect: UDP has no handshake that could fail.
	Fallback []CodePoint

	// FallbackDelay is how long the Dialer waits for a connection, after its name
	// has been looked up, before it starts another one with the next mark of
	// Fallback. Zero means 1.5 s: the system sends a lost SYN again after 1 s (RFC
	// 6298, section 2), so a shorter delay would fall back because of ordinary
	// packet loss. With a negative value every dial fails.
	//
	// The field of that name in net.Dialer, 300 ms by default, is another one: it
	// separates the two address families of a name (Happy Eyeballs, RFC 6555) within
	// each attempt.
	FallbackDelay time.Duration

	// Datagrams has further marks for UDP. A single datagram carries one of them if
	// UDPConn.WriteMarked or a control message asks for it; all other datagrams carry
	// DSCP. RFC 7657, section 5.1, allows several marks on one pair of UDP ports, as
	// RTP and WebRTC need (RFC 8837). Nil means that every datagram carries DSCP.
	// Repeated marks, and DSCP itself, have no effect. With a value above 63 every
	// dial fails. On networks other than UDP the field has no effect.
	//
	// Where the system cannot mark single datagrams, a UDP dial fails with an
	// UnsupportedError unless AllowUnmarked is set; see the package comment.
	Datagrams []CodePoint

	// AllowUnmarked lets a dial succeed although the socket cannot be marked.
	// Conn.DSCP then returns the mark that the conn has. By default such a dial fails
	// with an UnsupportedError or a MarkError. It fails, too, if the socket no longer
	// holds the mark when the connection is up, because something else has changed
	// it.
	AllowUnmarked bool

	// Memory, if not nil, makes a dial start with the mark of Fallback that
	// connected last time. The other marks follow in their order.
	Memory *Memory

	// Trace, if not nil, is called once for each attempt to connect, when its result
	// is known; see Event. Under Fallback that can be after the dial has returned,
	// and from several goroutines at once.
	Trace func(Event)
}

func (d *Dialer) marking() marking {
	return newMarking(d.DSCP, d.NATSafe, d.AllowUnmarked)
}

// Dial is [Dialer.DialContext] with [context.Background].
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to the address on the named network, like
// [net.Dialer.DialContext]. It returns
//
//   - a [*Conn] for the tcp networks,
//   - a [*UDPConn] for the udp networks,
//   - net's own conn for the ip networks, marked but not pinned,
//   - net's own conn for the unix networks, which have no marks.
//
// An error is a [net.OpError], like those of net. If a marked dial fails after the
// lookup of the name, the text names the code point. If the socket cannot be marked,
// the OpError wraps an [UnsupportedError] or a [MarkError], unless AllowUnmarked is
// set. If all attempts of Fallback fail, it wraps an error with an Unwrap() []error
// method, which returns one error for each mark, in the order of the attempts; but if
// every mark was refused, the error is net's own "connection refused".
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

// DialTCP connects like [net.Dialer.DialTCP], whose documentation describes laddr and
// raddr, and returns a pinned conn. It does not use NetDialer.LocalAddr. Its errors are
// those of [Dialer.DialContext].
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

// DialUDP connects like [net.Dialer.DialUDP], whose documentation describes laddr and
// raddr, and returns a pinned conn. It does not use NetDialer.LocalAddr. Its errors are
// those of [Dialer.DialContext].
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

// pinUDP pins a new conn, and closes it on an error.
func (d *Dialer) pinUDP(c *net.UDPConn) (*UDPConn, error) {
	conn, err := pinUDPOrClose(c)
	return allowOrClose(conn, err, newDatagrams(d.DSCP, d.Datagrams, d.NATSafe, d.AllowUnmarked))
}

// Marked returns a new [net.Dialer] that marks, for libraries that require that type or
// a *net.TCPConn; grpc-go, for example, sets TCP_USER_TIMEOUT only on a *net.TCPConn. It
// is a copy of NetDialer with the marking hook after NetDialer's own. Its conns are
// net's: they do not pin the mark, and Fallback and Datagrams have no effect. On such a
// UDP conn a datagram that is sent with ECN bits in a control message, as quic-go does,
// loses the mark; give such a library a [UDPConn].
//
// On plan9, net runs no hooks, so sockets stay unmarked there without an error.
func (d *Dialer) Marked() *net.Dialer {
	if d == nil {
		return dialer.With(nil, failing(errNilDialer))
	}
	return d.marked(d.marking().cp)
}

// marked is Marked for the code point cp, to which NATSafe has been applied.
func (d *Dialer) marked(cp CodePoint) *net.Dialer {
	m := marking{cp, d.AllowUnmarked}
	nd := dialer.With(d.NetDialer, m.hook())
	m.keepMPTCPOut(nd)
	return nd
}

var errNilDialer = errors.New("dscp: nil Dialer")

// check returns an error that every dial on the network would fail with, before a
// socket is made.
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

// Validate returns an error if every dial would fail because of the fields of d: if d
// is nil, if a code point in DSCP, Fallback or Datagrams is above 63 (the error matches
// [ErrRange]), or if FallbackDelay is negative. The error names the field. A program
// that reads its marks from a configuration can call Validate at its start. Validate
// makes no socket: it does not check whether this system can mark. A mark that is
// repeated in Fallback or Datagrams is not an error.
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

// noNil returns a nil interface, not one that holds a nil pointer, if err is not nil.
func noNil[C net.Conn](c C, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}
