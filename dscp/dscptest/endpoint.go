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
	sampled   time.Time       // when the box last sampled the mark
	unchanged kernel.Position // how much had arrived, at least, when the box last saw the latest mark
}

// observe returns the mark of the endpoint if it differs from the latest. If precise
// is set, observe notes how much has arrived, which takes another system call.
func (e *endpoint) observe(s Sensor, precise bool) (kernel.Observation, bool) {
	if q, ok := e.probe.(kernel.QueueingProbe); ok {
		for {
			o, ok := q.Next()
			if !ok || !e.known || o.Mark != e.mark {
				return o, ok
			} // otherwise it is the mark that was predicted
		}
	}
	var before kernel.Position
	exact := false
	if precise && s != SocketOption {
		before, exact = e.probe.Position() // read before the mark, so that none of it has a later mark
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

// confirm samples the mark until another one than the latest has lasted, and returns
// it. A program can set a socket option and restore it without sending anything
// between; the guard of a [dscp.Conn] does, when other code changes the mark. Then
// one of the samples finds the old mark. The samples must take longer than a guard
// whose thread is descheduled halfway, and there must be enough of them for a guard
// that restores the mark over and over. A mark that is there until the socket is gone
// has lasted.
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
