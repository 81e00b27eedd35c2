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

// A group has the sockets of a Listener with Reflect. One goroutine for each member
// accepts a connection and offers it to the callers of accept. The members take turns,
// so that a class under load does not delay the others.
type group struct {
	members  []member // in the order of their indexes; the first one answers the SYNs of no other class
	arrivals chan arrival
	calls    atomic.Uint64 // how many calls of accept have begun
	deadline deadline

	closing  sync.Once
	ending   atomic.Bool   // shutdown has begun
	closed   atomic.Bool   // Close was called
	lent     atomic.Bool   // File was called
	err      error         // why accept fails, once done is closed; nil after Close
	done     chan struct{} // closed when accept fails from then on
	feeding  atomic.Int32  // running goroutines of members
	fed      chan struct{} // closed when the last of them has ended
	closeErr error
}

// A member is one socket of a group.
type member struct {
	*net.TCPListener
	class CodePoint      // the mark that was asked for
	held  reuseport.Held // the state to restore when the member stops losing its SYNs
}

// An arrival is the result of one AcceptTCP of a member.
type arrival struct {
	conn   *net.TCPConn
	err    error
	member int
	calls  uint64 // how many calls of accept had begun before
}

// handOver is how long a group that closes offers the conns that it has accepted, at
// most one for each member, to the waiting calls of accept.
const handOver = time.Millisecond

// newGroup starts to accept from members.
func newGroup(members []member) *group {
	g := &group{members: members, arrivals: make(chan arrival), done: make(chan struct{}), fed: make(chan struct{})}
	g.feeding.Store(int32(len(members)))
	for i := range members {
		go g.run(i)
	}
	return g
}

// run feeds until the member is closed. If a member ends for another reason, the group
// ends: the kernel moves the last socket to the index of one that was closed, and SYNs
// would get the marks of other classes.
func (g *group) run(i int) {
	err := g.feed(i)
	if g.feeding.Add(-1) == 0 {
		close(g.fed)
	}
	if !g.ending.Load() {
		g.shutdown(err)
	}
}

// feed accepts from a member and offers each result to accept. It returns the error
// that ends the member, or nil after shutdown.
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

// reset closes a conn with a reset, as the kernel does with conns that were not accepted.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// accept waits for the next arrival. It fails at the deadline and after shutdown.
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
			// An error from before this call, for want of a descriptor for example,
			// may be out of date: the member tries again now.
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

// opError returns err as an error of the listener.
func (g *group) opError(op string, err error) error {
	addr := g.members[0].Addr()
	return &net.OpError{Op: op, Net: addr.Network(), Addr: addr, Err: err}
}

// Close closes all members. It returns when the group has ended.
func (g *group) Close() error {
	if g.closed.Swap(true) {
		return g.opError("close", net.ErrClosed)
	}
	g.shutdown(nil)
	return g.closeErr
}

// shutdown closes all members; err is the reason, or nil for Close. From its start on
// SYNs are lost, since the BPF program would give them to a wrong member while the
// members are closed one after another. Handshakes in progress go on meanwhile.
func (g *group) shutdown(err error) {
	g.closing.Do(func() {
		g.ending.Store(true)
		g.hold()
		for i := len(g.members) - 1; i >= 0; i-- {
			if i == 0 && g.lent.Load() {
				// A duplicate of the socket stays open. It is alone now and answers every SYN.
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
		g.deadline.set(time.Time{}) // stops its timer
		<-g.fed
	})
}

// hold makes all members lose their SYNs. It fails only for a member that is closed.
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

// release makes the member answer SYNs again.
func (m member) release() error {
	raw, err := m.SyscallConn()
	if err == nil {
		err = m.held.Release(raw)
	}
	return err
}

// restore resets the options that a conn may have inherited from a member that was
// losing its SYNs.
func (m member) restore(c *net.TCPConn) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = m.held.Restore(raw)
	}
}

// setDeadline is SetDeadline of the listener. Like net it returns net.ErrClosed without
// an OpError if the listener is closed.
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

// errClass is the error for a connection that came up with the mark of another class: the
// kernel has given its SYN to the wrong member.
var errClass error = temporaryError("answered in the class of another SYN: something else has joined or changed the group of the listener")

// A temporaryError reports true from Temporary, so that accept loops go on.
type temporaryError string

func (e temporaryError) Error() string   { return string(e) }
func (e temporaryError) Temporary() bool { return true }

// acceptConn accepts a conn and pins it. requested is the mark that the conn should have.
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

// judge returns the mark that a conn should have, and an error if it has that of another
// class. If the SYN is not known, the conn should have the mark of the member that
// accepted it. A conn with the mark of its SYN is right: the kernel has reflected it.
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
	case want == 0 && from == 0: // with a DSCP of DF the caller's hook decides
	default:
		return requested, conn.pin.opError("accept", &MarkError{CodePoint: requested, Option: conn.pin.option.String(), Err: errClass})
	}
	return requested, nil
}

// A deadline is the time at which waiting calls fail. It can be moved while they wait.
// The zero value is no deadline.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{} // closed at the deadline; nil until it is needed
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
			if d.timer == timer { // otherwise the deadline was moved meanwhile
				close(expired)
				d.timer = nil
			}
		})
		d.timer = timer
	}
}

// renew makes expired an open channel. d.mu is held.
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

// wait returns a channel that is closed at the deadline.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.expired == nil {
		d.renew()
	}
	return d.expired
}

// closeUnreachable has the garbage collector close the group when l becomes unreachable,
// as net does with a listener of one socket.
func closeUnreachable(l *Listener) {
	runtime.AddCleanup(l, func(g *group) { go g.shutdown(nil) }, l.group)
}
