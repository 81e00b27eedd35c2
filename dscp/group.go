package dscp

import (
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godscp/godscp/internal/reuseport"
)

// A group are the sockets behind a Listener with Reflect, which looks like one of
// net's. Each member has a goroutine that accepts and offers what it has got; these
// take turns, so that a class under load keeps none of the others waiting.
type group struct {
	members  []member // in the order of their indexes; the first takes every other SYN
	arrivals chan arrival
	calls    atomic.Uint64 // how many calls of accept have begun
	deadline deadline

	closing  sync.Once
	ending   atomic.Bool   // shut down, or about to be
	closed   atomic.Bool   // Close was called
	lent     atomic.Bool   // File was called
	err      error         // why accept fails, once done is closed; nil after Close
	done     chan struct{} // closed when nothing is accepted any more
	feeding  atomic.Int32  // goroutines that feed
	fed      chan struct{} // closed when the last of them has ended
	closeErr error
}

// A member is one socket of a group.
type member struct {
	*net.TCPListener
	class CodePoint      // the mark that it was asked to have
	held  reuseport.Held // what it was like before it held its SYNs to open
}

// An arrival is what a member has accepted, or why it could not.
type arrival struct {
	conn   *net.TCPConn
	err    error
	member int
	calls  uint64 // how many calls of accept had begun before
}

// handOver is how long a group that closes offers the conns that it has accepted, one
// for each member at most, to the calls of accept that wait.
const handOver = time.Millisecond

// newGroup starts to accept from members, which hold their SYNs.
func newGroup(members []member) *group {
	g := &group{members: members, arrivals: make(chan arrival), done: make(chan struct{}), fed: make(chan struct{})}
	g.feeding.Store(int32(len(members)))
	for i := range members {
		go g.run(i)
	}
	return g
}

// run feeds until the member is closed. What ends one member for another reason ends
// the group: the kernel gives the place of one that goes to the last, so the classes
// would be answered wrongly.
func (g *group) run(i int) {
	err := g.feed(i)
	if g.feeding.Add(-1) == 0 {
		close(g.fed)
	}
	if !g.ending.Load() {
		g.shutdown(err)
	}
}

func (g *group) feed(i int) error {
	for {
		calls := g.calls.Load() // before it fails, if it does
		c, err := g.members[i].AcceptTCP()
		if err != nil && !isTemporary(err) {
			return err
		}
		if c != nil && g.ending.Load() {
			g.members[i].restore(c)
		}
		a := arrival{c, err, i, calls}
		select {
		case g.arrivals <- a:
		case <-g.done:
			if c != nil {
				reset(c)
			}
			return nil
		}
	}
}

// reset closes a conn as the kernel does those that nobody has accepted.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// accept waits for the next arrival, or for the reason why there is none.
func (g *group) accept() (arrival, error) {
	call := g.calls.Add(1)
	expired := g.deadline.wait()
	for {
		select {
		case <-g.done:
			return arrival{}, g.ended()
		case <-expired:
			return arrival{}, g.opError("accept", os.ErrDeadlineExceeded)
		default:
		}
		select {
		case a := <-g.arrivals:
			// An error from before this call is history: there was no descriptor left,
			// say. The member tries again now.
			if a.err == nil || a.calls >= call {
				return a, a.err
			}
		case <-g.done:
		case <-expired:
		}
	}
}

// ended returns the error of accept once done is closed.
func (g *group) ended() error {
	if g.err == nil || g.closed.Load() {
		return g.opError("accept", net.ErrClosed)
	}
	return g.err
}

// opError is an error of the listener in net's form.
func (g *group) opError(op string, err error) error {
	addr := g.members[0].Addr()
	return &net.OpError{Op: op, Net: addr.Network(), Addr: addr, Err: err}
}

// Close ends the group as net's Close ends a listener, and returns when it has ended.
func (g *group) Close() error {
	if g.closed.Swap(true) {
		return g.opError("close", net.ErrClosed)
	}
	g.shutdown(nil)
	return g.closeErr
}

// shutdown closes all members; err is why, nil for Close. From its begin on SYNs are
// lost: while one member after another goes, the program would give them to a wrong
// one. Handshakes in progress go on meanwhile.
func (g *group) shutdown(err error) {
	g.closing.Do(func() {
		g.ending.Store(true)
		g.hold()
		for i := len(g.members) - 1; i >= 0; i-- {
			if i == 0 && g.lent.Load() {
				// Somebody has the socket still. It is alone now and takes every SYN.
				_ = g.members[0].release()
			}
			if cerr := g.members[i].Close(); cerr != nil && g.closeErr == nil && err == nil {
				g.closeErr = cerr
			}
		}
		timer := time.NewTimer(handOver)
		defer timer.Stop()
		select {
		case <-g.fed:
		case <-timer.C:
		}
		g.err = err
		close(g.done)
		g.deadline.set(time.Time{}) // its timer is of no use any more
		<-g.fed
	})
}

// hold has all members lose their SYNs. One that cannot is closed already.
func (g *group) hold() {
	for _, m := range g.members {
		_ = m.hold()
	}
}

func (m member) hold() error {
	raw, err := m.SyscallConn()
	if err == nil {
		_, err = reuseport.Hold(raw)
	}
	return err
}

// release lets the member have SYNs again, after it was opened or before it is closed.
func (m member) release() error {
	raw, err := m.SyscallConn()
	if err == nil {
		err = m.held.Release(raw)
	}
	return err
}

// restore undoes what a conn may have inherited from the member while that held its
// SYNs.
func (m member) restore(c *net.TCPConn) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = m.held.Restore(raw)
	}
}

// setDeadline is net's SetDeadline for a group. Of a closed listener net returns the
// bare error.
func (g *group) setDeadline(t time.Time) error {
	if g.ending.Load() {
		return net.ErrClosed
	}
	g.deadline.set(t)
	return nil
}

// memberFor returns the index of the member that answers a SYN with the mark.
func (g *group) memberFor(syn CodePoint) int {
	for i, m := range g.members[1:] {
		if m.class == syn {
			return i + 1
		}
	}
	return 0
}

// errClass says that a connection came up in another class than its SYN asked for: the
// kernel has chosen a member that it should not have.
var errClass error = temporaryError("answered in the class of another SYN: something else has joined or changed the group of the listener")

// A temporaryError is one after which accept loops go on.
type temporaryError string

func (e temporaryError) Error() string   { return string(e) }
func (e temporaryError) Temporary() bool { return true }

// acceptConn accepts and pins. It returns the mark that the conn was to have, too.
func (g *group) acceptConn(m marking) (conn *Conn, requested CodePoint, err error) {
	for {
		a, err := g.accept()
		if err != nil {
			return nil, g.members[0].class, err
		}
		conn, err := pinAccepted(a.conn, marking{g.members[a.member].class, m.allowUnmarked})
		if resetByPeer(err) {
			continue // as in acceptPinned
		}
		if err != nil {
			return nil, g.members[a.member].class, err
		}
		requested, err = g.judge(conn, a.member)
		if err = m.tolerate(err); err != nil {
			reset(conn.TCPConn)
			return nil, requested, err
		}
		return conn, requested, nil
	}
}

// judge returns the mark that a conn from a member was to have, and an error if it has
// that of another class. Where the SYN is not known, the member is believed. What has
// the mark of its SYN was reflected by the kernel.
func (g *group) judge(conn *Conn, from int) (requested CodePoint, err error) {
	syn, known := conn.PeerDSCP()
	if !known {
		return g.members[from].class, nil
	}
	want := g.memberFor(syn)
	requested = g.members[want].class
	held := conn.DSCP()
	switch {
	case held == syn, held == requested:
	case want == 0 && from == 0: // DSCP may be DF, which leaves the mark to the caller's hook
	default:
		return requested, conn.pin.opError("accept", &MarkError{CodePoint: requested, Option: conn.pin.option.String(), Err: errClass})
	}
	return requested, nil
}

// A deadline is a point in time for calls that wait, which can be moved meanwhile.
// The zero value never comes.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{} // closed when the time has come; made when somebody asks
}

// set moves the deadline; the zero time means none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.renew()
	switch until := time.Until(t); {
	case t.IsZero():
	case until <= 0:
		close(d.expired)
	default:
		expired := d.expired
		var timer *time.Timer
		timer = time.AfterFunc(until, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.timer == timer { // or it was moved meanwhile
				close(expired)
				d.timer = nil
			}
		})
		d.timer = timer
	}
}

// renew has expired be open.
func (d *deadline) renew() {
	if d.expired == nil {
		d.expired = make(chan struct{})
		return
	}
	select {
	case <-d.expired:
		d.expired = make(chan struct{})
	default:
	}
}

// wait returns a channel that is closed when the deadline comes.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.expired == nil {
		d.renew()
	}
	return d.expired
}

// closeUnreachable closes the group of a Listener that the program has dropped without
// Close, as net's finalizer does with a listener of one socket.
func closeUnreachable(l *Listener) {
	runtime.AddCleanup(l, func(g *group) { go g.shutdown(nil) }, l.group)
}
