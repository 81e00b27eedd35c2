package dscp

import (
	"fmt"
	"slices"

	"golang.org/x/net/ipv4"
)

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
// The WriteBatch methods of ipv4.PacketConn and ipv6.PacketConn know nothing of
// this rule. On a UDPConn they send what mark the control messages ask for.
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
