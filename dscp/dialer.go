package dscp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

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
// Which systems mark, and how, is in the package comment. Name servers are
// asked by net's own, unmarked sockets, unless NetDialer.Resolver says else.
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
	// reset a flow whose precedence bits change.
	NATSafe bool

	// AllowUnmarked lets a dial go on where the socket cannot be marked, for
	// whatever reason: by default that fails with an UnsupportedError or a
	// MarkError. Conn.DSCP tells what the conn really carries.
	AllowUnmarked bool
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
// was marked, a [MarkError] inside names the code point. A socket that cannot
// be marked is an [UnsupportedError] or a MarkError, unless AllowUnmarked is
// set.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.check(network, address); err != nil {
		return nil, err
	}
	c, err := d.Marked().DialContext(ctx, network, address)
	if err != nil {
		return nil, withCodePoint(err, d.marking().cp)
	}
	switch c := c.(type) {
	case *net.TCPConn:
		return noNil(pinDialed(c))
	case *net.UDPConn:
		return noNil(pinUDP(c))
	}
	return c, nil
}

// DialTCP connects like [net.Dialer.DialTCP] and returns a pinned conn; see
// there for what laddr and raddr may be. NetDialer.LocalAddr is not used.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*Conn, error) {
	if err := d.check(network, raddr.String()); err != nil {
		return nil, err
	}
	c, err := d.Marked().DialTCP(ctx, network, laddr, raddr)
	if err != nil {
		return nil, withCodePoint(err, d.marking().cp)
	}
	return pinDialed(c)
}

// DialUDP connects like [net.Dialer.DialUDP] and returns a pinned conn; see
// there for what laddr and raddr may be. NetDialer.LocalAddr is not used.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*UDPConn, error) {
	if err := d.check(network, raddr.String()); err != nil {
		return nil, err
	}
	c, err := d.Marked().DialUDP(ctx, network, laddr, raddr)
	if err != nil {
		return nil, withCodePoint(err, d.marking().cp)
	}
	return pinUDP(c)
}

// Marked returns a new [net.Dialer] that marks, for libraries that insist on
// that type or on getting a *net.TCPConn: grpc-go sets TCP_USER_TIMEOUT only on
// such. It is NetDialer with a hook behind its own. Its conns are bare: nothing
// pins the mark.
//
// On plan9 net runs no hooks, so there its sockets are silently unmarked.
func (d *Dialer) Marked() *net.Dialer {
	if d == nil {
		return dialer.With(nil, failing(errNilDialer))
	}
	m := d.marking()
	hook := m.hook()
	nd := dialer.With(d.NetDialer, hook)
	if hook != nil {
		nd.SetMultipathTCP(false) // what the hook would bring about, without a socket made in vain
	}
	return nd
}

var errNilDialer = errors.New("dscp: nil Dialer")

// check finds what would fail for every address, before there is a socket.
func (d *Dialer) check(network, address string) error {
	err := errNilDialer
	if d != nil {
		err = d.marking().check(network)
	}
	if err != nil {
		return opError("dial", network, address, err)
	}
	return nil
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
