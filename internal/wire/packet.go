// Package wire captures the TCP and UDP packets of a network interface, so that a
// test can check what a socket sent and not only what was set on it.
package wire

import "github.com/godscp/godscp/internal/packet"

// The types of what a capture holds, from package packet.
type (
	Packet = packet.Packet
	Flags  = packet.Flags
)

// The transport protocols and the flags of a [Packet].
const (
	TCP = packet.TCP
	UDP = packet.UDP

	FIN = packet.FIN
	SYN = packet.SYN
	RST = packet.RST
	PSH = packet.PSH
	ACK = packet.ACK
)
