package dscp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/godscp/godscp/internal/tos"
)

// datagrams has the marks that single datagrams of a UDPConn may carry beside the
// pinned one. Nil means none.
type datagrams struct {
	named         uint64        // a bit for each code point that may be asked for
	sent          [64]CodePoint // the mark on the wire: with NATSafe applied
	allowUnmarked bool
}

// newDatagrams makes the set of the field Datagrams. DSCP is in it, so that a datagram
// can carry that mark even if AllowUnmarked has let the socket come up with another.
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

// has returns the mark with which a datagram that asks for cp is sent.
func (d *datagrams) has(cp CodePoint) (sent CodePoint, ok bool) {
	if d == nil || d.named&(1<<cp) == 0 {
		return 0, false
	}
	return d.sent[cp], true
}

// checkDatagrams checks the field Datagrams before a socket is made. A code point above
// 63 is an error on every network, a system that cannot mark on the udp networks.
func checkDatagrams(network string, further []CodePoint, natSafe, allowUnmarked bool) error {
	for _, cp := range further {
		if err := cp.check(); err != nil {
			return err
		}
	}
	if !strings.HasPrefix(network, "udp") {
		return nil
	}
	for _, cp := range further {
		if err := newMarking(cp, natSafe, allowUnmarked).check(network); err != nil {
			return err
		}
	}
	return nil
}

// validateList checks a field that is a list, for Validate.
func validateList(field string, list []CodePoint) error {
	for i, cp := range list {
		if err := cp.checkField(fmt.Sprintf("%s[%d]", field, i)); err != nil {
			return err
		}
	}
	return nil
}

// allow lets single datagrams of c carry the marks of d. It returns an error if this
// system cannot mark them.
func (c *UDPConn) allow(d *datagrams) error {
	c.pin.datagrams = d
	if d == nil || d.allowUnmarked {
		return nil
	}
	network, peers := c.pin.udpNetwork(), tos.PeersOf(c.pin.far().String())
	opts, err := tos.Host.MessageOptions(network, peers, func() (bool, error) { return tos.V6Only(c.pin.raw) })
	for _, opt := range opts {
		if opt.IgnoresMessage() {
			err = tos.IgnoredMessage(opt)
			break
		}
	}
	if missing, ok := errors.AsType[*tos.MissingError](err); ok {
		err = unsupportedOption(missing, network, c.pin.cp)
	}
	if err != nil {
		return c.pin.opError("pin", err)
	}
	return nil
}

// allowOrClose is allow for a new conn, which it closes on an error. It returns err if
// that is not nil.
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

// WriteMarked writes one datagram with the mark cp, otherwise like
// [net.UDPConn.WriteToUDPAddrPort]. cp must be the mark that c is pinned at, or one of
// the Datagrams of the [Dialer] or [ListenConfig] that made c. For any other code point
// WriteMarked sends nothing and returns an error that matches [ErrMidFlow], or
// [ErrRange] if cp is above 63. Under NATSafe, cp may be a code point of Datagrams or
// its NATSafe value; the datagram carries the NATSafe value. The ECN bits are those of
// the socket.
//
// If c is connected, addr is the zero AddrPort. If the socket has UDP_SEGMENT set
// (GSO, Linux), all segments of b carry the mark.
//
// Where the system cannot mark single datagrams (see the package comment), the error
// is an [UnsupportedError]. With AllowUnmarked there is no error, and the datagram
// carries the mark of the socket.
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

// writeToPeer writes a datagram to the peer's address after net has refused, with the
// error failed, to write it without one. net wants an address for a connected socket
// that it got from a descriptor, since it does not know that the socket is connected.
// If net does know that, it refuses every address; writeToPeer then returns failed.
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
// with cp. It appends nothing if the socket itself has that mark.
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

// mayCarry returns the mark with which a datagram that asks for cp is sent, and whether
// it may ask for cp.
func (p *pin) mayCarry(opt tos.Option, cp CodePoint) (sent CodePoint, ok bool) {
	if sent, ok = p.datagrams.has(cp); ok {
		return sent, true
	}
	return cp, cp == p.pinned(opt)
}

// udpNetwork returns the network that net would pass to a hook of this UDP socket.
func (p *pin) udpNetwork() string {
	if isIPv4(p.far()) {
		return "udp4"
	}
	return "udp6"
}
