package dscp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/godscp/godscp/internal/tos"
)

// datagrams are the marks that single datagrams of a UDPConn may carry beside the
// pinned one. Nil means none.
type datagrams struct {
	named         uint64        // a bit for each code point that may be asked for
	sent          [64]CodePoint // what it is sent as: itself, or what NATSafe makes of it
	allowUnmarked bool
}

// newDatagrams makes the set of the field Datagrams. With DSCP in it a datagram can
// carry what was asked for, even where AllowUnmarked has let the socket come up
// with another mark.
func newDatagrams(dscp CodePoint, further []CodePoint, natSafe, allowUnmarked bool) *datagrams {
	if len(further) == 0 {
		return nil
	}
	d := &datagrams{allowUnmarked: allowUnmarked}
	name := func(cp CodePoint) {
		sent := newMarking(cp, natSafe, allowUnmarked).cp
		d.named |= 1<<cp | 1<<sent
		d.sent[cp], d.sent[sent] = sent, sent
	}
	for _, cp := range further {
		name(cp)
	}
	if dscp != DF {
		name(dscp)
	}
	return d
}

// has returns what a datagram that asks for cp is to be sent with.
func (d *datagrams) has(cp CodePoint) (sent CodePoint, ok bool) {
	if d == nil || d.named&(1<<cp) == 0 {
		return 0, false
	}
	return d.sent[cp], true
}

// checkDatagrams finds, before there is a socket, what would fail for the field
// Datagrams: a code point above 63 on every network, a system that cannot mark on
// those of UDP.
func checkDatagrams(network string, further []CodePoint, natSafe, allowUnmarked bool) error {
	udp := strings.HasPrefix(network, "udp")
	for _, cp := range further {
		err := cp.check()
		if err == nil && udp {
			err = newMarking(cp, natSafe, allowUnmarked).check(network)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// validateList is the part of Validate for a field that is a list.
func validateList(field string, list []CodePoint) error {
	for i, cp := range list {
		if err := cp.checkField(fmt.Sprintf("%s[%d]", field, i)); err != nil {
			return err
		}
	}
	return nil
}

// allow lets single datagrams of c carry the marks of d, or says why this system
// cannot mark them.
func (c *UDPConn) allow(d *datagrams) error {
	c.pin.datagrams = d
	if d == nil || d.allowUnmarked {
		return nil
	}
	network, peers := c.pin.udpNetwork(), tos.PeersOf(c.pin.far().String())
	_, err := tos.Host.MessageOptions(network, peers, func() (bool, error) { return tos.V6Only(c.pin.raw) })
	if missing, ok := errors.AsType[*tos.MissingError](err); ok {
		err = unsupportedOption(missing, network, c.pin.cp)
	}
	if err != nil {
		return c.pin.opError("pin", err)
	}
	return nil
}

// allowOrClose is allow for a conn that nobody else has: a failure closes it.
func allowOrClose(c *UDPConn, err error, d *datagrams) (*UDPConn, error) {
	if err != nil {
		return nil, err
	}
	if err := c.allow(d); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// WriteMarked writes one datagram as [net.UDPConn.WriteToUDPAddrPort] does, with the
// mark cp: the one that c is pinned at, or one of the Datagrams of the [Dialer] or
// the [ListenConfig] that made c. Under NATSafe, cp may be a code point that was
// named there or what NATSafe makes of it; the datagram carries the latter. Any
// other is an error that matches [ErrMidFlow] ([ErrRange] if cp is above 63), and
// nothing is sent. The ECN bits are those that the socket has.
//
// addr is the zero AddrPort if c is connected. If the socket has UDP_SEGMENT set
// (GSO, Linux), all segments of b carry the mark.
//
// Where the system does not take the mark of one datagram (see the package comment),
// the error is an [UnsupportedError]. With AllowUnmarked there is none, and the
// datagram carries the mark of the socket.
func (c *UDPConn) WriteMarked(b []byte, addr netip.AddrPort, cp CodePoint) (int, error) {
	var space [24]byte // CMSG_SPACE(sizeof(int)), on systems of 64 bits
	oob, err := c.pin.appendMark(space[:0], addr.Addr(), cp)
	if err != nil {
		return 0, c.pin.opError("write", err)
	}
	toPeer := !addr.IsValid() && c.pin.remote != nil
	switch {
	case len(oob) == 0 && toPeer:
		return c.Write(b)
	case len(oob) == 0:
		return c.WriteToUDPAddrPort(b, addr)
	}
	n, _, err := c.UDPConn.WriteMsgUDPAddrPort(b, oob, addr)
	if err != nil && toPeer {
		return c.writeToPeer(b, oob, err)
	}
	return n, err
}

// writeToPeer writes a datagram once more that net has refused to write, with the
// error failed. To net a connected socket that it has from a descriptor is not
// connected, and misses the address of the peer. To one that it knows to be
// connected, it refuses to write to any address, so there the first error stands.
func (c *UDPConn) writeToPeer(b, oob []byte, failed error) (int, error) {
	peer, ok := c.pin.remote.(*net.UDPAddr)
	if !ok {
		return 0, failed
	}
	n, _, err := c.UDPConn.WriteMsgUDPAddrPort(b, oob, peer.AddrPort())
	if errors.Is(err, net.ErrWriteToConnected) {
		return 0, failed
	}
	return n, err
}

// appendMark appends to oob the control message that marks a datagram to the address
// with cp, and nothing where the socket does so by itself.
func (p *pin) appendMark(oob []byte, to netip.Addr, cp CodePoint) ([]byte, error) {
	if err := cp.check(); err != nil {
		return nil, err
	}
	opt := p.option
	if p.dual && (to.Is4() || to.Is4In6()) {
		opt = tos.IPv4TOS
	}
	sent, ok := p.mayCarry(opt, cp)
	switch {
	case !ok:
		return nil, p.notInDatagrams(opt, cp)
	case sent == p.pinned(opt):
		return oob, nil
	case tos.Host.MessageValue[opt] != 0:
	case p.datagrams.allowUnmarked:
		return oob, nil
	default:
		return nil, unsupportedOption(tos.NoMessage(opt), p.udpNetwork(), sent)
	}
	held, err := opt.Get(p.raw)
	if err != nil {
		return nil, err
	}
	return tos.AppendControl(oob, opt, sent.TOS()|held&ecnMask), nil
}

// mayCarry returns what a datagram that asks for cp is sent with, and whether it may
// ask for that.
func (p *pin) mayCarry(opt tos.Option, cp CodePoint) (sent CodePoint, ok bool) {
	if sent, ok = p.datagrams.has(cp); ok {
		return sent, true
	}
	return cp, cp == p.pinned(opt)
}

// udpNetwork returns the network that net would give to a hook of this UDP socket.
func (p *pin) udpNetwork() string {
	if isIPv4(p.far()) {
		return "udp4"
	}
	return "udp6"
}
