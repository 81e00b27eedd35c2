package dscptest

import (
	"net"
	"time"

	"github.com/godscp/godscp/dscp"
)

// A leg is one of the two connections of a flow: what one side sends arrives
// on it. Its fields belong to the flow's lock.
type leg struct {
	conn     *net.TCPConn
	dir      Direction // of what arrives
	probe    probe
	history  history        // what the models have been shown
	mark     dscp.CodePoint // the latest
	known    bool           // mark has been seen
	out      dscp.CodePoint // the mark that the box sends on with
	outKnown bool
	taken    int64     // bytes read off conn
	eof      bool      // there will be no more
	looked   time.Time // when the box last did
	old      position  // what had arrived, at least, when the latest mark was seen last
}

// A sight is a mark that a look at a leg found to differ from the one before.
type sight struct {
	mark     dscp.CodePoint
	from, to int64 // the bracket of Change
}

// look reports whether the leg shows another mark than before. With precise
// set it notes how much has arrived, which costs another system call.
func (l *leg) look(s Sensor, precise bool) (sight, bool) {
	if h, ok := l.probe.(historian); ok {
		for {
			seen, ok := h.next()
			if !ok || !l.known || seen.mark != l.mark {
				return seen, ok
			} // else it is what was foretold
		}
	}
	var before position
	exact := false
	if precise && s != SocketOption {
		before, exact = l.probe.position() // before the mark, so that all of it is under a mark that was seen
	}
	cp, ok := l.probe.look()
	if !ok {
		return sight{}, false
	}
	if l.known && cp == l.mark {
		if exact {
			l.old = before
		} else {
			l.old = position{bytes: max(l.old.bytes, l.taken)}
		}
		return sight{}, false
	}
	if s == SocketOption && l.known {
		if cp, ok = l.lookAgain(cp); !ok {
			return sight{}, false
		}
	}
	seen := sight{mark: cp, from: l.old.bytes, to: max(l.old.bytes, l.taken)}
	if now, ok := l.probe.position(); ok {
		seen.to = max(seen.to, now.bytes)
		if s != SocketOption && l.old.segments != 0 && now.segments-l.old.segments == 1 {
			seen.to = seen.from // the one segment since is the one that changed
		}
	}
	if l.eof {
		seen.to = max(seen.from, min(seen.to, l.taken)) // the kernel counts the FIN as a byte
	}
	return seen, true
}

// lookAgain looks until a foreign mark has lasted, and returns the latest. A
// socket option can be set and put back with nothing sent between: a guard that
// does so with a stranger's change lets the old mark be found, sooner or later.
// The time has to outlast a guard whose thread loses its processor halfway, and
// the number of looks one that does nothing else. What lasts until the socket is
// gone has lasted.
func (l *leg) lookAgain(cp dscp.CodePoint) (dscp.CodePoint, bool) {
	const (
		times = 100
		pause = 300 * time.Microsecond
	)
	for range times {
		time.Sleep(pause)
		again, ok := l.probe.look()
		if !ok {
			return cp, true
		}
		if again == l.mark {
			return 0, false
		}
		cp = again
	}
	return cp, true
}
