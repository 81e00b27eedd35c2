package dscp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/godscp/godscp/dialer"
	"github.com/godscp/godscp/internal/tos"
)

// defaultFallbackDelay leaves a SYN that was lost by chance the time to be sent
// again, after 1 s (RFC 6298, section 2), and to be answered.
const defaultFallbackDelay = 1500 * time.Millisecond

var errNegativeDelay = errors.New("dscp: negative FallbackDelay")

// checkLadder is check for the rungs below the first.
func (d *Dialer) checkLadder(network string) error {
	if d.FallbackDelay < 0 {
		return errNegativeDelay
	}
	for _, cp := range d.Fallback {
		if err := newMarking(cp, d.NATSafe, d.AllowUnmarked).check(network); err != nil {
			return err
		}
	}
	return nil
}

// ladder returns the marks that a dial on the network tries, in order and each
// once, or nil if there is nothing to fall back to.
func (d *Dialer) ladder(network string) []CodePoint {
	if len(d.Fallback) == 0 || !strings.HasPrefix(network, "tcp") {
		return nil
	}
	if tos.Host.Unmarkable != "" {
		return nil // marked or not, all rungs are the same there
	}
	rungs := []CodePoint{d.marking().cp}
	for _, cp := range d.Fallback {
		if cp = newMarking(cp, d.NATSafe, false).cp; !slices.Contains(rungs, cp) {
			rungs = append(rungs, cp)
		}
	}
	if len(rungs) == 1 {
		return nil
	}
	return rungs
}

// A climb is a dial with several marks.
type climb struct {
	*Dialer
	network, address string
	local            net.Addr    // where the caller wants to dial from
	rungs            []CodePoint // in the order of the ladder
	dial             func(context.Context, *net.Dialer, marking) (*Conn, error)

	order []CodePoint   // the rungs as they are tried
	why   string        // why the first of order is the first, for Trace
	delay time.Duration // between two of them
	alone bool          // one has to end before the next begins
	steps []step        // by order
}

// A step is how far the attempt on one rung has come.
type step struct {
	begun  func()        // notes since and closes ready
	since  time.Time     // when it had a socket: a name is looked up by then
	ready  chan struct{} // closed then
	failed chan struct{} // closed when it has failed
}

// climb prepares a climb for DialContext.
func (d *Dialer) climb(network, address string, rungs []CodePoint) *climb {
	c := &climb{Dialer: d, network: network, address: address, rungs: rungs}
	if d.NetDialer != nil {
		c.local = d.NetDialer.LocalAddr
	}
	c.dial = func(ctx context.Context, nd *net.Dialer, m marking) (*Conn, error) {
		conn, err := nd.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return pinDialed(conn.(*net.TCPConn), m)
	}
	return c
}

// climbTCP prepares a climb for DialTCP.
func (d *Dialer) climbTCP(network string, laddr, raddr netip.AddrPort, rungs []CodePoint) *climb {
	c := &climb{Dialer: d, network: network, address: raddr.String(), rungs: rungs, local: net.TCPAddrFromAddrPort(laddr)}
	c.dial = func(ctx context.Context, nd *net.Dialer, m marking) (*Conn, error) {
		conn, err := nd.DialTCP(ctx, network, laddr, raddr)
		if err != nil {
			return nil, err
		}
		return pinDialed(conn, m)
	}
	return c
}

// run dials with one mark after another, each on a fresh connection, until one
// comes up.
func (c *climb) run(ctx context.Context) (*Conn, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	if c.delay = c.FallbackDelay; c.delay == 0 {
		c.delay = defaultFallbackDelay
	}
	between := c.delay
	if c.alone = hasPort(c.local); c.alone {
		between = -1 // two connections cannot share a local port
	}
	to := destination{c.network, c.address, c.rungs[0]}
	c.order, c.why = c.rungs, "first"
	if c.Memory != nil {
		if works, ok := c.Memory.recall(to); ok && slices.Contains(c.rungs, works) {
			c.order, c.why = startingWith(works, c.rungs), "remembered"
		}
	}
	c.steps = make([]step, len(c.order))
	attempts := make([]func(context.Context) (*candidate, error), len(c.order))
	for i := range c.order {
		s := &c.steps[i]
		s.ready, s.failed = make(chan struct{}), make(chan struct{})
		s.begun = sync.OnceFunc(func() {
			s.since = time.Now()
			close(s.ready)
		})
		attempts[i] = func(ctx context.Context) (*candidate, error) { return c.attempt(ctx, i) }
	}
	winner, i, err := dialer.Race(ctx, between, attempts...)
	if err != nil {
		return nil, ladderError(c.network, c.address, c.order, err.(*dialer.RaceError))
	}
	if c.Memory != nil && i > 0 { // what was remembered is not renewed, so that the first mark gets its chance again
		c.Memory.learn(to, c.order[i])
	}
	winner.trace.tell(winner.event, winner.Conn, nil)
	return winner.Conn, nil
}

// attempt dials with one mark, the i-th in order.
func (c *climb) attempt(ctx context.Context, i int) (*candidate, error) {
	cp := c.order[i]
	e := Event{Op: "dial", Network: c.network, Address: c.address, Requested: cp, Rung: slices.Index(c.rungs, cp)}
	if e.Why = c.why; i > 0 {
		e.Why = c.await(ctx, &c.steps[i-1])
		if ctx.Err() != nil {
			return nil, opError("dial", c.network, c.address, context.Cause(ctx))
		}
	}
	var late atomic.Bool // it had to give way, which net can but call a cancellation
	if c.alone && i < len(c.order)-1 {
		var giveUp context.CancelFunc
		ctx, giveUp = context.WithCancel(ctx)
		defer giveUp()
		go func() {
			if c.overdue(ctx, &c.steps[i]) {
				late.Store(true)
				giveUp()
			}
		}()
	}
	begin := time.Now()
	m := marking{cp, c.AllowUnmarked}
	nd := dialer.With(c.NetDialer, m.dialHook(), func(context.Context, string, string, syscall.RawConn) error {
		c.steps[i].begun()
		return nil
	})
	m.keepMPTCPOut(nd)
	conn, err := c.dial(ctx, nd, m)
	e.Duration = time.Since(begin)
	if err == nil {
		return &candidate{conn, e, c.Trace}, nil
	}
	if late.Load() && errors.Is(err, context.Canceled) {
		err = opError("dial", c.network, c.address, os.ErrDeadlineExceeded)
	}
	tracer(c.Trace).tell(e, nil, err)
	close(c.steps[i].failed)
	// The first rung speaks for all, but when a later one lacks a name server or
	// a descriptor, those before it may still come up.
	if refused(err) || i == 0 && !earnsRung(err) {
		err = dialer.Stop(err)
	}
	return nil, err
}

// await waits, on behalf of the rung after it, until s has failed or is overdue.
// The race counts the delay from when it started s, which is too early where a
// name server was slow. It returns why the waiting is over.
func (c *climb) await(ctx context.Context, s *step) (why string) {
	c.overdue(ctx, s)
	select {
	case <-s.failed:
		return "failure"
	default:
		return "delay"
	}
}

// overdue waits until s has had a socket for as long as FallbackDelay says, and
// reports true then; or until it has failed or ctx has ended.
func (c *climb) overdue(ctx context.Context, s *step) bool {
	select {
	case <-s.ready:
	case <-s.failed:
		return false
	case <-ctx.Done():
		return false
	}
	select {
	case <-time.After(time.Until(s.since.Add(c.delay))):
		return true
	case <-s.failed:
	case <-ctx.Done():
	}
	return false
}

// A candidate is a connection that came up, and wins unless another was faster.
type candidate struct {
	*Conn
	event Event
	trace tracer
}

// Close closes a connection that came up too late.
func (c *candidate) Close() error {
	c.trace.tell(c.event, nil, errLost)
	return c.Conn.Close()
}

// startingWith returns the rungs with first at the top.
func startingWith(first CodePoint, rungs []CodePoint) []CodePoint {
	order := []CodePoint{first}
	for _, cp := range rungs {
		if cp != first {
			order = append(order, cp)
		}
	}
	return order
}

// ladderError puts the code point to the fate of each rung. What the first rung
// has found out for all, that nobody listens or that the name does not exist,
// comes as it does without Fallback.
func ladderError(network, address string, rungs []CodePoint, race *dialer.RaceError) error {
	if op, ok := race.Errs[0].(*net.OpError); ok && !earnsRung(op) {
		return withCodePoint(op, rungs[0])
	}
	for i, err := range race.Errs {
		race.Errs[i] = &dialError{rungs[i], err}
	}
	return opError("dial", network, address, race)
}

// earnsRung reports whether a dial that ended with err might come up with
// another mark. A dial that was cancelled settles nothing either.
func earnsRung(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return false // no packet to the server was sent
	}
	if _, ok := errors.AsType[*MarkError](err); ok {
		return false // the socket refused the mark: AllowUnmarked is for that
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() || errors.Is(err, context.Canceled) || filtered(err)
}

// bound returns a ctx that ends when NetDialer's Timeout or Deadline does, so
// that they hold for all rungs together.
func (d *Dialer) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	nd := d.NetDialer
	if nd == nil {
		return context.WithCancel(ctx)
	}
	deadline := nd.Deadline
	if nd.Timeout != 0 {
		if t := time.Now().Add(nd.Timeout); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	if deadline.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline)
}

// hasPort reports whether a names a local port.
func hasPort(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t != nil && t.Port != 0
}
