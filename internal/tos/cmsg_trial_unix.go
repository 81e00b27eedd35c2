//go:build unix

package tos

import (
	"errors"
	"net"
	"os"
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
	// It does not ignore what it refuses, and what does not arrive tells nothing.
	// Neither does a third octet, which is the work of something on the way.
	if octet, ok := sendToSelf(c, AppendControl(nil, o, datagram)); ok && octet == socket {
		return ignored
	}
	return obeyed
}

// sendToSelf sends a datagram with a control message from a socket to itself, and
// returns the octet with which it arrives. A datagram to the own host is there at once.
// If it is not, it may have been lost, and sendToSelf sends a second and a third.
func sendToSelf(c *net.UDPConn, control []byte) (octet uint8, ok bool) {
	self := c.LocalAddr().(*net.UDPAddr).AddrPort()
	b, oob := make([]byte, 1), make([]byte, 128)
	for range 3 {
		if _, _, err := c.WriteMsgUDPAddrPort([]byte{0}, control, self); err != nil {
			return 0, false
		}
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return 0, false
		}
		_, oobn, _, _, err := c.ReadMsgUDPAddrPort(b, oob)
		if err == nil {
			return ReceivedOctet(oob[:oobn])
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, false
		}
	}
	return 0, false
}
