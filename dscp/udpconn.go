package dscp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/net/ipv4"

	"github.com/godscp/godscp/internal/tos"
)

// A UDPConn is a UDP socket whose mark is pinned. It embeds a [net.UDPConn] and
// overrides only the methods that could change the mark: SyscallConn and those that
// send control messages. A single datagram may carry another mark if the field
// Datagrams of the [Dialer] or [ListenConfig] names it; see [UDPConn.WriteMarked]. The
// application may set the ECN bits.
//
// Three ways bypass the guard:
//
//   - File.
//   - The embedded UDPConn itself.
//   - Control messages that are sent through SyscallConn, as x/net does in
//     WriteTo and WriteBatch of ipv4.PacketConn and ipv6.PacketConn, and in
//     SendMsg and SendMsgs of ipv4.Conn and ipv6.Conn. The guard cannot see them. If
//     the control messages have no mark, the datagrams carry the pinned mark. For
//     batches use [UDPConn.WriteBatch], which takes the same messages.
//
// After [Seal] the kernel refuses every change of the options, however it is made. Seal
// does not stop control messages.
//
// The ReadFrom methods of ipv4.PacketConn and ipv6.PacketConn need a *net.UDPConn
// and fail on a UDPConn. Their ReadBatch methods work.
//
// Code that asserts the type *net.UDPConn does not recognise a UDPConn. Known
// consequence: a server of github.com/miekg/dns on a wildcard address does not answer
// from the address that was asked; it does over a bare conn of [ListenConfig.Marked].
//
// QUIC stacks that send ECN bits in control messages clear the mark of their socket in
// each such datagram. Over a UDPConn the mark stays:
//
//	pc, err := lc.ListenPacket(ctx, "udp", ":443")
//	tr := quic.Transport{Conn: pc} // github.com/quic-go/quic-go
//
// A UDPConn comes from [Dialer], [ListenConfig] or [PinUDP]; its zero value is not
// usable. Several goroutines may use a UDPConn at once.
type UDPConn struct {
	*net.UDPConn
	pin pin
}

// PinUDP guards a socket that this package has not made. It pins the mark that c has,
// without changing it; an unconnected IPv6 socket is pinned for the peers of both
// families. [ListenConfig.WrapPacket] marks the socket first.
//
// The error is a [net.OpError]. It matches [net.ErrClosed] if c is closed and
// [syscall.EINVAL] if c is nil. If PinUDP fails, c is left open.
func PinUDP(c *net.UDPConn) (*UDPConn, error) {
	if c == nil {
		return nil, opError("pin", "udp", "", syscall.EINVAL)
	}
	conn := &UDPConn{UDPConn: c}
	if err := conn.pin.set(c); err != nil {
		return nil, err
	}
	return conn, nil
}

// pinUDPOrClose is PinUDP for a new conn, which it closes on an error.
func pinUDPOrClose(c *net.UDPConn) (*UDPConn, error) {
	conn, err := PinUDP(c)
	if err != nil {
		c.Close()
	}
	return conn, err
}

// DSCP returns the mark that c is pinned at: the one that the kernel held when the
// socket was made or given to [PinUDP]. On an unconnected IPv6 socket that is the mark
// of packets to IPv6 peers. DSCP makes no system call.
func (c *UDPConn) DSCP() CodePoint { return c.pin.cp }

// SetDSCP returns nil if cp is the mark that c is pinned at. For any other code point
// it returns an error that matches [ErrMidFlow], or [ErrRange] if cp is above 63. It
// makes no system call.
func (c *UDPConn) SetDSCP(cp CodePoint) error { return c.pin.setDSCP(cp) }

// Verify returns nil if the kernel still holds the pinned mark, an error that
// matches [ErrMidFlow] if the option was changed through File or the embedded UDPConn, and
// one that matches [net.ErrClosed] after Close.
func (c *UDPConn) Verify() error { return c.pin.verify() }

// SyscallConn returns a raw connection that refuses to change the mark, like
// [Conn.SyscallConn]. It cannot see the control messages that a function sends, as
// x/net's WriteTo and WriteBatch do: those can carry another mark.
func (c *UDPConn) SyscallConn() (syscall.RawConn, error) { return c.pin.guarded() }

// WriteMsgUDP writes like [net.UDPConn.WriteMsgUDP]. If a control message in oob sets
// the TOS or Traffic Class octet of the datagram, its ECN bits are sent as they are.
// Its DSCP must be the pinned mark or one of the Datagrams of the [Dialer] or
// [ListenConfig] that made c, as in [UDPConn.WriteMarked]. A DSCP of 0 is replaced by
// the pinned mark unless DF is one of Datagrams, since QUIC stacks send 0 when they
// set ECN bits alone. For any other DSCP nothing is sent, and the error matches
// [ErrMidFlow]. oob is not modified.
func (c *UDPConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	pinned, err := c.pin.pinControl(oob)
	if err != nil {
		return 0, 0, c.pin.opError("write", err)
	}
	return c.UDPConn.WriteMsgUDP(b, pinned, addr)
}

// WriteMsgUDPAddrPort is [UDPConn.WriteMsgUDP] for a [netip.AddrPort].
func (c *UDPConn) WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	pinned, err := c.pin.pinControl(oob)
	if err != nil {
		return 0, 0, c.pin.opError("write", err)
	}
	return c.UDPConn.WriteMsgUDPAddrPort(b, pinned, addr)
}

// WriteBatch writes a batch of messages like [ipv4.PacketConn.WriteBatch]: on Linux with
// one system call, on Windows not at all, with an error, and on other systems only the
// first message. It returns how many messages were written. That can be fewer than
// len(ms) without an error; write the rest again. Package ipv6's Message is the same
// type, so WriteBatch takes messages of both packages for sockets of both families.
//
// Control messages follow the rule of [UDPConn.WriteMsgUDP]. If one message asks
// for another mark, none of ms is sent, and the error matches [ErrMidFlow] and names
// the index of that message. WriteBatch sets the N and NN fields of the messages
// written and does not modify their OOB.
//
// The methods of x/net's own types do not follow this rule. On a UDPConn they send
// the mark that the control messages ask for.
func (c *UDPConn) WriteBatch(ms []ipv4.Message, flags int) (int, error) {
	if len(ms) == 0 {
		return 0, nil
	}
	pinned, err := c.pin.pinMessages(ms)
	if err != nil {
		return 0, c.pin.opError("write", err)
	}
	n, err := ipv4.NewPacketConn(c.UDPConn).WriteBatch(pinned, flags)
	for i := range n {
		ms[i].N, ms[i].NN = pinned[i].N, pinned[i].NN
	}
	return n, err
}

// pinMessages calls pinControl for each message. It does not modify ms: where a control
// message changes, it returns a copy.
func (p *pin) pinMessages(ms []ipv4.Message) ([]ipv4.Message, error) {
	own := false
	for i := range ms {
		oob, err := p.pinControl(ms[i].OOB)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		if len(oob) == 0 || &oob[0] == &ms[i].OOB[0] {
			continue
		}
		if !own {
			ms, own = slices.Clone(ms), true
		}
		ms[i].OOB = oob
	}
	return ms, nil
}

// ReceiveMarks makes the system report the mark of each datagram that c receives from
// now on, in a control message. [net.UDPConn.ReadMsgUDP] and the ReadBatch methods of
// x/net's packages return control messages, and [ReceivedMark] reads them. An
// unconnected IPv6 socket reports the marks of peers of both families.
//
// The package comment says which systems can do this. On the others, and for an IPv6
// socket where the system does not report the marks of IPv4 peers, the error is an
// [UnsupportedError].
func (c *UDPConn) ReceiveMarks() error {
	if err := c.pin.receiveMarks(); err != nil {
		return c.pin.opError("receive", err)
	}
	return nil
}

func (p *pin) receiveMarks() error {
	network := p.udpNetwork()
	opts, err := tos.Host.ReceiveOptions(network, tos.PeersOf(p.far().String()), func() (bool, error) { return tos.V6Only(p.raw) })
	if missing, ok := errors.AsType[*tos.MissingError](err); ok {
		return unsupportedOption(missing, network, DF)
	}
	if err != nil {
		return err
	}
	for _, opt := range opts {
		r := tos.Host.Receive[opt]
		if err := tos.SetInt(p.raw, opt.Level(), r.Number, 1); err != nil {
			if isUnsupported(err) {
				return &UnsupportedError{OS: tos.Host.OS, Network: network, Option: r.Name, Err: err}
			}
			return err
		}
	}
	return nil
}

// ReceivedMark returns the mark of a datagram, and its two ECN bits (RFC 3168,
// section 5), from the control messages that were received with it. ok is false if
// they do not contain it, because [UDPConn.ReceiveMarks] was not called or the buffer
// for oob was too small. The mark is the one with which the datagram arrived; the path
// may have changed it.
//
// oob may contain other control messages as well, and may come from a socket that this
// package has not made.
func ReceivedMark(oob []byte) (cp CodePoint, ecn uint8, ok bool) {
	octet, ok := tos.ReceivedOctet(oob)
	return FromTOS(octet), octet & ecnMask, ok
}
