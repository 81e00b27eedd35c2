package dscptest

import (
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// A Sensor is the means by which a [Middlebox] learns the marks of TCP
// segments after the SYN. The mark of the SYN itself is always read off the
// SYN as it arrived (TCP_SAVED_SYN), and on UDP every datagram tells its own.
type Sensor string

// The sensors, from the best to the weakest.
const (
	// WireEvery is "wire, every segment": the marks of all segments, as they
	// arrived, with exact offsets, those of a RST included. It leaves out the
	// RST with which a kernel answers a segment of a connection that is gone:
	// its mark is that of the segment. It takes CAP_NET_RAW in the network
	// namespace, which root has, in most containers as well. If the box falls
	// so far behind that it misses some, [Middlebox.Close] says so.
	WireEvery Sensor = "wire, every segment"

	// WireLatest is "wire, latest segment": the Traffic Class of the segment
	// that arrived last, read whenever the flow moves. A change that lasts
	// is seen; one that is put back before anything else happens may not be,
	// and one that only a RST shows is not. IPv6 only. For a server behind
	// several listeners, see SocketOption.
	WireLatest Sensor = "wire, latest segment"

	// SocketOption is "socket option": the mark that the sending socket is
	// set to, asked of the kernel whenever the flow moves and looked at
	// again before anybody is blamed. It is not what was sent, and it works
	// only for a sender in the same network namespace whose socket is still
	// open: what a client sends right before it closes may go unjudged, and
	// what it sent right before it changed may be taken for changed.
	//
	// The mark of a server's SYN-ACK is that of its listener. If sockets with
	// different marks listen on the upstream's address (SO_REUSEPORT), the box
	// cannot know which of them answers. It then takes the first mark that
	// the server's socket shows, so it may miss a server that changes its mark
	// right after it has accepted.
	SocketOption Sensor = "socket option"
)

// String returns the sensor in words that promise no more than it gives.
func (s Sensor) String() string { return string(s) }

// sensorOf returns the sensor that reads marks from a source.
func sensorOf(s kernel.Source) Sensor {
	switch s {
	case kernel.EverySegment:
		return WireEvery
	case kernel.LatestSegment:
		return WireLatest
	}
	return SocketOption
}
