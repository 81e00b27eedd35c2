//go:build unix

package tos

import (
	"net"
	"sync/atomic"
	"time"
)

// What a trial has shown of a control message.
const (
	untried = iota
	obeyed  // or the trial could not tell: then the system is believed
	ignored
)

var messageTrials [len(Both)]atomic.Uint32

// IgnoresMessage reports whether the system takes the control message that sets the
// octet of one datagram, without an error, and sends the datagram with the octet of
// its socket, as gVisor does. Where no trial can be made it reports false.
//
// It tries once for each option: a socket on loopback sends a datagram to itself.
func (o Option) IgnoresMessage() bool {
	if Host.MessageValue[o] == 0 {
		return false
	}
	if messageTrials[o].Load() == untried {
		if result := o.tryMessage(); result != untried {
			messageTrials[o].Store(result) // of two at once, either
		}
	}
	return messageTrials[o].Load() == ignored
}

// tryMessage returns untried if it has no socket this time.
func (o Option) tryMessage() uint32 {
	const socket, datagram = 0xf8, 0x04 // octets that nobody else is likely to set
	self := net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	if o == IPv6TClass {
		self.IP = net.IPv6loopback
	}
	c, err := net.ListenUDP("udp", &self)
	if err != nil {
		return untried
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return untried
	}
	receive := Host.Receive[o]
	if receive.Number == 0 || o.Set(raw, socket) != nil || SetInt(raw, o.Level(), receive.Number, 1) != nil {
		return obeyed
	}
	to := c.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, _, err := c.WriteMsgUDPAddrPort([]byte{0}, AppendControl(nil, o, datagram), to); err != nil {
		return obeyed // it does not ignore what it refuses
	}
	// A datagram to the own host is there at once, unless something drops it.
	if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return obeyed
	}
	b, oob := make([]byte, 1), make([]byte, 128)
	_, oobn, _, _, err := c.ReadMsgUDPAddrPort(b, oob)
	if err != nil {
		return obeyed
	}
	// Any third octet is the work of something on the way, which tells nothing.
	if octet, ok := ReceivedOctet(oob[:oobn]); ok && octet == socket {
		return ignored
	}
	return obeyed
}
