package dscp

import (
	"net"
	"net/netip"
	"syscall"
)

// A UDPConn is a UDP socket whose mark is pinned. It embeds net's own conn and
// overrides only what could change the mark: SetDSCP, SyscallConn and the
// methods that send control messages. The ECN bits are the application's, as
// ever. The ways out are File, the embedded UDPConn itself, and the WriteBatch
// methods of x/net's ipv4.PacketConn and ipv6.PacketConn, whose control messages
// nothing here can see: use [UDPConn.WriteBatch], which takes the same messages.
//
// The ReadFrom and WriteTo methods of those types want a *net.UDPConn by type
// and fail on a UDPConn. Their ReadBatch works.
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

// pinUDP pins a conn that nobody else has: a failure closes it.
func pinUDP(c *net.UDPConn) (*UDPConn, error) {
	conn := &UDPConn{UDPConn: c}
	if err := conn.pin.set(c); err != nil {
		c.Close()
		return nil, err
	}
	return conn, nil
}

// DSCP returns the mark that c is pinned at: what the kernel held when the
// socket was made. On an unconnected IPv6 socket that is the mark of packets to
// IPv6 peers. It makes no system call.
func (c *UDPConn) DSCP() CodePoint { return c.pin.cp }

// SetDSCP returns nil if cp is the mark that c has. It refuses any other without
// a system call, with an error that matches [ErrMidFlow] ([ErrRange] if cp is
// above 63).
func (c *UDPConn) SetDSCP(cp CodePoint) error { return c.pin.setDSCP(cp) }

// PeerDSCP answers false: each datagram has a mark of its own, which
// [UDPConn.ReceiveMarks] and [ReceivedMark] tell. UDPConn has the method because
// [Conn] has it.
func (c *UDPConn) PeerDSCP() (cp CodePoint, ok bool) { return DF, false }

// Verify returns nil while the kernel still holds the pinned mark, an error that
// matches [ErrMidFlow] if somebody has changed it by one of the ways out, and
// one that matches [net.ErrClosed] after Close.
func (c *UDPConn) Verify() error { return c.pin.verify() }

// SyscallConn returns a raw connection that does not let the mark be changed; it
// is as [Conn.SyscallConn]. Control messages that a function sends by itself, as
// the batch methods of x/net do, cannot be seen: those can carry another mark.
func (c *UDPConn) SyscallConn() (syscall.RawConn, error) { return c.pin.guarded() }

// WriteMsgUDP writes as [net.UDPConn.WriteMsgUDP]. A control message in oob that
// sets the TOS or Traffic Class octet of this datagram keeps its ECN bits, but
// its DSCP cannot differ: 0 becomes the pinned mark, which is what QUIC stacks
// mean when they send ECN bits alone; the pinned mark passes; any other is an
// error that matches [ErrMidFlow], and nothing is sent. oob is not modified.
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
