package dscptest

import (
	"net"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// An endpoint is one of the two connections of a flow: what one side sends
// arrives on it. Its fields belong to the flow's lock.
type endpoint struct {
	conn      *net.TCPConn
	stream    kernel.Stream // of conn
	dir       Direction     // of what arrives
	probe     kernel.Probe
	history   history        // what the models have been shown
	mark      dscp.CodePoint // the latest
	known     bool           // mark has been seen
	out       dscp.CodePoint // the mark that the box sends on with
	outKnown  bool
	taken     int64           // bytes read off conn
	eof       bool            // there will be no more
	sampled   time.Time       // when the box last did
	unchanged kernel.Position // what had arrived, at least, when the latest mark was seen last
}

// observe reports whether the endpoint shows another mark than before. With
// precise set it notes how much has arrived, which costs another system call.
func (e *endpoint) observe(s Sensor, precise bool) (kernel.Observation, bool) {
	if q, ok := e.probe.(kernel.QueueingProbe); ok {
		for {
			o, ok := q.Next()
			if !ok || !e.known || o.Mark != e.mark {
				return o, ok
			} // else it is what was predicted
		}
	}
	var before kernel.Position
	exact := false
	if precise && s != SocketOption {
		before, exact = e.probe.Position() // before the mark, so that all of it is under a mark that was seen
	}
	cp, ok := e.probe.Mark()
	if !ok {
		return kernel.Observation{}, false
	}
	if e.known && cp == e.mark {
		if exact {
			e.unchanged = before
		} else {
			e.unchanged = kernel.Position{Bytes: max(e.unchanged.Bytes, e.taken)}
		}
		return kernel.Observation{}, false
	}
	if s == SocketOption && e.known {
		if cp, ok = e.confirm(cp); !ok {
			return kernel.Observation{}, false
		}
	}
	o := kernel.Observation{Mark: cp, From: e.unchanged.Bytes, To: max(e.unchanged.Bytes, e.taken)}
	if now, ok := e.probe.Position(); ok {
		o.To = max(o.To, now.Bytes)
		if s != SocketOption && e.unchanged.Segments != 0 && now.Segments-e.unchanged.Segments == 1 {
			o.To = o.From // the one segment since is the one that changed
		}
	}
	if e.eof {
		o.To = max(o.From, min(o.To, e.taken)) // the kernel counts the FIN as a byte
	}
	return o, true
}

// confirm samples the mark until a foreign one has lasted, and returns the latest.
// A socket option can be set and put back with nothing sent between: a guard that
// does so with somebody else's change lets the old mark be found, sooner or later.
// The time has to be longer than a guard takes whose thread loses its processor
// halfway, and the number of samples is for one that does nothing else. What lasts
// until the socket is gone has lasted.
func (e *endpoint) confirm(cp dscp.CodePoint) (dscp.CodePoint, bool) {
	const (
		times = 100
		pause = 300 * time.Microsecond
	)
	for range times {
		time.Sleep(pause)
		again, ok := e.probe.Mark()
		if !ok {
			return cp, true
		}
		if again == e.mark {
			return 0, false
		}
		cp = again
	}
	return cp, true
}
