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

// A UDPConn is a UDP socket whose mark is pinned. It embeds net's own conn and
// overrides only what could change the mark: SetDSCP, SyscallConn and the
// methods that send control messages. Single datagrams may carry another mark if the
// field Datagrams of the [Dialer] or [ListenConfig] names it; see
// [UDPConn.WriteMarked]. The ECN bits are the application's, as ever.
//
// There are three ways out:
//
//   - File.
//   - The embedded UDPConn itself.
//   - Control messages that are sent through SyscallConn, as x/net does in
//     WriteTo and WriteBatch of ipv4.PacketConn and ipv6.PacketConn, and in
//     SendMsg and SendMsgs of ipv4.Conn and ipv6.Conn. Nothing here can see them.
//     Without a mark in them these methods send the pinned one. For batches use
//     [UDPConn.WriteBatch], which takes the same messages.
//
// [Seal] has the kernel refuse every change of the options, by whatever way. It
// does not stop control messages.
//
// The ReadFrom methods of ipv4.PacketConn and ipv6.PacketConn want a *net.UDPConn
// by type and fail on a UDPConn. Their ReadBatch works.
//
// Code that asks for a *net.UDPConn by type does not see through a UDPConn. Known
// loss: servers of github.com/miekg/dns on a wildcard address answer from the
// address that was asked only over a bare conn, which [ListenConfig.Marked] makes.
//
// QUIC stacks that send ECN bits in control messages wipe every mark that is set
// on their socket; over a UDPConn the mark stays:
//
//	pc, err := lc.ListenPacket(ctx, "udp", ":443")
//	tr := quic.Transport{Conn: pc} // github.com/quic-go/quic-go
//
// A UDPConn may be used by several goroutines at once.
type UDPConn struct {
	*net.UDPConn
	pin pin
}

// PinUDP guards a socket that was made elsewhere. It pins the mark that c has and
// never changes it; an unconnected IPv6 socket is pinned for the peers of both
// families. [ListenConfig.WrapPacket] marks it first. If it fails, c is left open.
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

// pinUDPOrClose is PinUDP for a conn that nobody else has: a failure closes it.
func pinUDPOrClose(c *net.UDPConn) (*UDPConn, error) {
	conn, err := PinUDP(c)
	if err != nil {
		c.Close()
	}
	return conn, err
}

// DSCP returns the mark that c is pinned at: what the kernel held when the
// socket was made. On an unconnected IPv6 socket that is the mark of packets to
// IPv6 peers. It makes no system call.
func (c *UDPConn) DSCP() CodePoint { return c.pin.cp }

// SetDSCP returns nil if cp is the mark that c has. It refuses any other without
// a system call, with an error that matches [ErrMidFlow] ([ErrRange] if cp is
// above 63).
func (c *UDPConn) SetDSCP(cp CodePoint) error { return c.pin.setDSCP(cp) }

// Verify returns nil while the kernel still holds the pinned mark, an error that
// matches [ErrMidFlow] if it was changed by one of the ways out, and
// one that matches [net.ErrClosed] after Close.
func (c *UDPConn) Verify() error { return c.pin.verify() }

// SyscallConn returns a raw connection that does not let the mark be changed; it
// is as [Conn.SyscallConn]. Control messages that a function sends by itself, as
// x/net's WriteTo and WriteBatch do, cannot be seen: those can carry another mark.
func (c *UDPConn) SyscallConn() (syscall.RawConn, error) { return c.pin.guarded() }

// WriteMsgUDP writes as [net.UDPConn.WriteMsgUDP]. A control message in oob that
// sets the TOS or Traffic Class octet of this datagram keeps its ECN bits. Its DSCP
// is the pinned mark or one of the Datagrams of the [Dialer] or [ListenConfig] that
// made c, as in [UDPConn.WriteMarked]. 0 becomes the pinned mark, which is what QUIC
// stacks mean when they send ECN bits alone, unless DF is one of Datagrams. Any
// other is an error that matches [ErrMidFlow], and nothing is sent. oob is not
// modified.
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

// WriteBatch writes a batch of messages, as [ipv4.PacketConn.WriteBatch] does:
// with one system call on Linux, only the first message on the other systems
// that can, and with an error on Windows. It returns how many messages were
// written, which can be fewer than len(ms) without an error; write the rest
// again. The type of ipv6's messages is the same one, so those can be given as
// they are, for sockets of any family.
//
// Control messages follow the rule of [UDPConn.WriteMsgUDP]. If one message asks
// for another mark, the error matches [ErrMidFlow] and says which it was, and
// none of ms is sent. The N and NN fields of the messages written are set; their
// OOB is not modified.
//
// The methods of x/net's own types know nothing of this rule. On a UDPConn they
// send what mark the control messages ask for.
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

// pinMessages returns ms with pinControl's work done on each. It copies ms
// before it changes anything.
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

// ReceiveMarks asks the system to report the mark of each datagram that c
// receives from now on in a control message. [net.UDPConn.ReadMsgUDP] and the
// ReadBatch methods of x/net's packages return those, and [ReceivedMark] reads
// them. An unconnected IPv6 socket reports for peers of both families.
//
// The package comment says which systems can. On the others, and for IPv4 peers
// of an IPv6 socket on those that cannot tell their marks, the error is an
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

// ReceivedMark reads the mark of a datagram, and its two ECN bits (RFC 3168,
// section 5), from the control messages that were received with it. It reports
// false if they do not tell it: [UDPConn.ReceiveMarks] was not called, or the
// buffer for them was too small. The mark is the one with which the datagram
// arrived; the path may have changed it.
//
// oob may hold other control messages too, and may be from a socket that this
// package has not made.
func ReceivedMark(oob []byte) (cp CodePoint, ecn uint8, ok bool) {
	octet, ok := tos.ReceivedOctet(oob)
	return FromTOS(octet), octet & ecnMask, ok
}
