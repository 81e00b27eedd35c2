// Package kernel is how Linux tells the lab what marks a flow shows. It reads
// them off packets and sockets, and knows nothing of models.
package kernel

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/godscp/godscp/dscp"
)

// A Kernel is what a middlebox for one address family needs of the operating
// system and package net does not give. Its methods may be called from several
// goroutines.
type Kernel interface {
	// Source says what probes read.
	Source() Source

	// Capture has probes read every segment off the wire, from now on, for a
	// middlebox that listens on port of loopback; local says whether upstream is
	// an address of this network namespace. It fails where this process may not
	// capture packets.
	Capture(port uint16, upstream netip.AddrPort, local bool) error

	// PrepareListener and PrepareDial return functions that ready a socket for
	// probes, and mark it. A listener that is to have a SYN sink shares its
	// port.
	PrepareListener(cp dscp.CodePoint, shared bool) Control
	PrepareDial(cp dscp.CodePoint) Control

	// SYNACKMark predicts the mark of the SYN-ACK that answers a SYN marked
	// syn, from what listens on addr in this network namespace. It returns
	// false if that is not known: nothing listens there, or several sockets
	// with different marks.
	SYNACKMark(addr netip.AddrPort, syn dscp.CodePoint) (dscp.CodePoint, bool)

	// EndCapture takes Capture back.
	EndCapture() error

	// Try connects to l, which is for no one else yet, with a SYN marked cp, and
	// returns an error if that mark cannot be learned: what a system accepts as
	// an option it need not do.
	Try(l *net.TCPListener, network string, cp dscp.CodePoint) error

	// TryUDP does so with a datagram to c.
	TryUDP(c *net.UDPConn, network string, cp dscp.CodePoint) error

	// Probe returns a probe for what arrives on c, which was accepted or dialled.
	Probe(c *net.TCPConn, accepted bool) (Probe, error)

	// OpenStream returns the stream of bytes of c, from which nothing may have
	// been read.
	OpenStream(c *net.TCPConn) (Stream, error)

	// SetMark sets the mark of what leaves c from now on.
	SetMark(c syscall.RawConn, cp dscp.CodePoint) error

	// DiscardInput makes the kernel discard everything that c's peer sends from
	// now on before TCP sees it, so that nothing of it is acknowledged.
	DiscardInput(c *net.TCPConn) error

	// OpenSYNSink discards SYNs with these marks that are meant for l. The sink
	// has to be closed before l.
	OpenSYNSink(l *net.TCPListener, network string, marks MarkSet) (io.Closer, error)

	// PrepareUDP returns a function for sockets that shall receive the octet of
	// each datagram in a control message.
	PrepareUDP() Control

	// Arrived returns when a datagram with these control messages arrived, false
	// if that is not known.
	Arrived(oob []byte) (time.Time, bool)

	// UDPSocket returns the socket on local that datagrams from remote reach, of
	// those in this network namespace. It returns false if the kernel does not
	// tell.
	UDPSocket(local, remote netip.AddrPort) (UDPSocket, bool)

	// Close ends what Capture began. It may be called more than once; the error
	// says how many segments were not captured.
	Close() error
}

// A Control is a function for the Control field of a net.Dialer or
// net.ListenConfig.
type Control = func(network, address string, c syscall.RawConn) error

// A Source is where a probe reads the marks of TCP segments after the SYN.
type Source uint8

// The sources, from the best to the weakest.
const (
	EverySegment  Source = iota // packets, as they arrive
	LatestSegment               // the Traffic Class of the segment that arrived last
	PeerSocket                  // the option of the socket at the other end
)

// A UDPSocket is what the kernel says of a socket.
type UDPSocket struct {
	ID     uint64 // that no other socket has had; 0 if there is none now
	Queued uint32 // octets of memory that hold what it has not read
}

// A Stream reads and writes a connection that may carry urgent data (MSG_OOB). One
// goroutine may read while another writes.
type Stream interface {
	// Read reads as the Read of a connection does. A byte that was sent as
	// urgent data comes alone, and urgent is true.
	Read(b []byte) (n int, urgent bool, err error)

	// WriteUrgent sends a byte as urgent data.
	WriteUrgent(b byte) error
}

// A Probe tells the mark of what arrives on one connection. It is not for use by
// several goroutines at once.
type Probe interface {
	// Mark returns the latest mark; false if there is none to be had, because
	// the socket that is looked at is gone.
	Mark() (dscp.CodePoint, bool)

	// Position returns how much has arrived so far.
	Position() (Position, bool)
}

// A QueueingProbe is a probe that misses nothing: it tells one change after the
// other, and Mark tells the mark before the next.
type QueueingProbe interface {
	Probe
	Next() (Observation, bool)
	Release() // when the connection is over
}

// A Position is how much has arrived on a connection.
type Position struct {
	Bytes    int64
	Segments uint32
}

// An Observation is a mark that differs from the one before. The first byte that
// was sent under it lies between From and To.
type Observation struct {
	Mark     dscp.CodePoint
	From, To int64
}

// A MarkSet is a set of code points, one bit each.
type MarkSet uint64

// Has reports whether cp is in m.
func (m MarkSet) Has(cp dscp.CodePoint) bool { return m>>(cp&63)&1 != 0 }

// ErrNoSavedSYN says that the kernel has not kept the SYN of a connection.
var ErrNoSavedSYN = errors.New("dscptest: no SYN was saved: accept the connection from a listener of dscp.ListenConfig")

// Unsupported returns the error for what this system lacks.
func Unsupported(network, option string, err error) error {
	return &dscp.UnsupportedError{OS: runtime.GOOS, Network: network, Option: option, Err: err}
}

// AddrPort returns the address of a TCP or UDP socket, IPv4 as IPv4.
func AddrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
