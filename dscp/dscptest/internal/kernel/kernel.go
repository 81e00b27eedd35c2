// Package kernel learns from Linux which marks a flow shows. It reads them off packets
// and sockets, and knows nothing of models.
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

// A Kernel gives a middlebox for one address family what it needs of the operating
// system beyond package net. Its methods may be called from several goroutines.
type Kernel interface {
	// Source returns what probes read.
	Source() Source

	// Capture makes probes read every segment off the wire, from now on, for a
	// middlebox that listens on port of loopback; local says whether upstream is
	// an address of this network namespace. It fails if this process may not
	// capture packets.
	Capture(port uint16, upstream netip.AddrPort, local bool) error

	// PrepareListener and PrepareDial return functions that prepare a socket for
	// probes, and mark it. A listener that is to have a SYN sink must be shared.
	PrepareListener(cp dscp.CodePoint, shared bool) Control
	PrepareDial(cp dscp.CodePoint) Control

	// SYNACKMark predicts the mark of the SYN-ACK that answers a SYN marked
	// syn, from what listens on addr in this network namespace. It returns
	// false if that is not known: nothing listens there, or several sockets
	// with different marks.
	SYNACKMark(addr netip.AddrPort, syn dscp.CodePoint) (dscp.CodePoint, bool)

	// EndCapture undoes Capture.
	EndCapture() error

	// Try connects to l, on which nothing else accepts yet, with a SYN marked cp.
	// It returns an error if it cannot learn that mark: a system may accept an
	// option and not act on it.
	Try(l *net.TCPListener, network string, cp dscp.CodePoint) error

	// TryUDP does the same with a datagram between two sockets of its own. It tells
	// what sockets can do that were prepared before and are open.
	TryUDP(network string, cp dscp.CodePoint) error

	// Probe returns a probe for what arrives on c, which was accepted or dialled.
	Probe(c *net.TCPConn, accepted bool) (Probe, error)

	// OpenStream returns the stream of bytes of c, from which nothing may have
	// been read.
	OpenStream(c *net.TCPConn) (Stream, error)

	// SetMark sets the mark of what c sends from now on.
	SetMark(c syscall.RawConn, cp dscp.CodePoint) error

	// DiscardInput makes the kernel discard everything that c's peer sends from
	// now on. TCP does not see it, so none of it is acknowledged.
	DiscardInput(c *net.TCPConn) error

	// OpenSYNSink discards SYNs to l with these marks. The sink has to be closed
	// before l.
	OpenSYNSink(l *net.TCPListener, network string, marks MarkSet) (io.Closer, error)

	// PrepareUDP returns a function for sockets that shall receive the octet of
	// each datagram in a control message.
	PrepareUDP() Control

	// Arrived returns when a datagram with these control messages arrived; false
	// if that is not known.
	Arrived(oob []byte) (time.Time, bool)

	// UDPSocket returns the socket in this network namespace that datagrams from
	// remote to local reach. It returns false if the kernel does not report it.
	UDPSocket(local, remote netip.AddrPort) (UDPSocket, bool)

	// Close ends the capture and releases what the Kernel holds. It may be called
	// more than once. Its error says how many segments were not captured.
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

// A UDPSocket is what the kernel reports about a socket.
type UDPSocket struct {
	ID     uint64 // unique among all sockets ever; 0 if there is no socket now
	Queued uint32 // octets of memory that hold the datagrams not read yet
}

// A Stream reads and writes a connection that may carry urgent data (MSG_OOB). One
// goroutine may read while another writes.
type Stream interface {
	// Read reads like the Read of a connection. It returns a byte that was sent
	// as urgent data alone, with urgent true.
	Read(b []byte) (n int, urgent bool, err error)

	// WriteUrgent sends a byte as urgent data.
	WriteUrgent(b byte) error
}

// A Probe reads the mark of what arrives on one connection. It must not be used by
// several goroutines at once.
type Probe interface {
	// Mark returns the latest mark; false if it cannot be read, for example because
	// the socket at the other end is gone.
	Mark() (dscp.CodePoint, bool)

	// Position returns how much has arrived so far.
	Position() (Position, bool)
}

// A QueueingProbe is a Probe that misses nothing: Next returns one change after the
// other, and Mark returns the mark before the next.
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

// An Observation is a mark that differs from the one before. The first byte that was
// sent with it lies between From and To.
type Observation struct {
	Mark     dscp.CodePoint
	From, To int64
}

// A MarkSet is a set of code points, one bit each.
type MarkSet uint64

// Has reports whether cp is in m.
func (m MarkSet) Has(cp dscp.CodePoint) bool { return m>>(cp&63)&1 != 0 }

// ErrNoSavedSYN is the error for a connection whose SYN the kernel has not saved.
var ErrNoSavedSYN = errors.New("dscptest: no SYN was saved: accept the connection from a listener of dscp.ListenConfig")

// Unsupported returns the error for an option that this system lacks.
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
