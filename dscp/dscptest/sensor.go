package dscptest

import (
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// A Sensor is how a [Middlebox] learns the marks of TCP segments after the SYN. It
// always reads the mark of the SYN off the SYN as it arrived (TCP_SAVED_SYN), and
// the mark of a datagram off the datagram.
type Sensor string

// The sensors, from the best to the weakest.
const (
	// WireEvery is "wire, every segment": the marks of all segments as they
	// arrived, a RST included, with exact offsets. It ignores the RST with
	// which a kernel answers a segment of a connection that it does not know,
	// because that RST carries the mark of the segment. WireEvery needs
	// CAP_NET_RAW in the network namespace, which root has, in most containers
	// as well. If the box misses segments because it is too slow,
	// [Middlebox.Close] returns an error.
	WireEvery Sensor = "wire, every segment"

	// WireLatest is "wire, latest segment": the Traffic Class of the segment
	// that arrived last, read whenever the box reads from the flow. It shows
	// every change that lasts. It may miss a change that is undone before the
	// box reads again, and it misses one that only a RST shows. IPv6 only. For
	// a server with several listeners, see SocketOption.
	WireLatest Sensor = "wire, latest segment"

	// SocketOption is "socket option": the mark that the sending socket is
	// set to. The box asks the kernel for it whenever it reads from the flow,
	// and again before it records a change. It is not what was sent, and it
	// works only for a sender in the same network namespace whose socket is
	// still open. The box may miss what a side sends right before it closes,
	// and may take what it sent right before a change for changed.
	//
	// The mark of a server's SYN-ACK is that of its listener. If sockets with
	// different marks listen on the upstream's address (SO_REUSEPORT), the box
	// cannot know which of them answers. It then takes the first mark that
	// the server's socket shows, so it may miss a server that changes its mark
	// right after it has accepted.
	SocketOption Sensor = "socket option"
)

// String returns the sensor in words, such as "wire, every segment".
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
