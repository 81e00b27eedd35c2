package dscptest

import (
	"io"
	"net"
	"net/netip"
	"syscall"

	"github.com/godscp/godscp/dscp"
)

// senses is what the box needs of the kernel and package net does not give.
// openSenses, in senses_linux.go and senses_other.go, finds the best that this
// process may use.
type senses interface {
	// sensor names the means by which probes work.
	sensor() Sensor

	// capture has probes read every segment off the wire, from now on, for a
	// box that listens on port. It fails where this process may not.
	capture(port uint16, upstream netip.AddrPort) error

	// prepareListener and prepareDial return hooks that ready a socket for
	// probes, and mark it. A listener that is to have a hole shares its port.
	prepareListener(cp dscp.CodePoint, shared bool) func(network, address string, c syscall.RawConn) error
	prepareDial(cp dscp.CodePoint) func(network, address string, c syscall.RawConn) error

	// savedSYN returns the mark of the SYN that began an accepted connection.
	savedSYN(c *net.TCPConn) (dscp.CodePoint, bool)

	// synACKMark foretells the mark of the SYN-ACK with which the socket that
	// listens on addr, if it is in this network namespace, answers a SYN
	// marked syn.
	synACKMark(addr netip.AddrPort, syn dscp.CodePoint) (dscp.CodePoint, bool)

	// probe returns a means to learn the mark of what arrives on c.
	probe(c *net.TCPConn) (probe, error)

	// mark sets the mark of what leaves c from now on.
	mark(c syscall.RawConn, cp dscp.CodePoint) error

	// darken makes everything that c's peer sends from now on vanish before
	// TCP sees it, so that nothing of it is acknowledged.
	darken(c *net.TCPConn) error

	// openHole loses SYNs with these marks that are meant for l. It has to be
	// closed before l.
	openHole(l *net.TCPListener, network string, marks markSet) (io.Closer, error)

	// prepareUDP returns a hook for sockets that shall tell the octet of each
	// datagram in a control message, which octet reads. withOctet makes the
	// message to send one with.
	prepareUDP() func(network, address string, c syscall.RawConn) error
	octet(oob []byte) (uint8, bool)
	withOctet(octet uint8) []byte

	close() error
}

// A probe tells the mark of what arrives on one connection. It is not for use
// by several goroutines at once.
type probe interface {
	// look returns the latest mark; false if there is none to be had, because
	// the socket that is looked at is gone.
	look() (dscp.CodePoint, bool)

	// position returns how much has arrived so far.
	position() (position, bool)
}

// A historian is a probe that misses nothing: it tells one change after the
// other, and look tells the mark before the next.
type historian interface {
	probe
	next() (sight, bool)
	release() // when the connection is over
}

// A position is how much has arrived on a connection.
type position struct {
	bytes    int64
	segments uint32
}
