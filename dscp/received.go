package dscp

import (
	"errors"

	"github.com/godscp/godscp/internal/tos"
)

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
		return c.pin.opError("receive marks", err)
	}
	return nil
}

func (p *pin) receiveMarks() error {
	network, far := "udp6", p.far()
	if isIPv4(far) {
		network = "udp4"
	}
	opts, err := tos.Host.ReceiveOptions(network, tos.PeersOf(far.String()), func() (bool, error) { return tos.V6Only(p.raw) })
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
