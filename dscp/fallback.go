package dscp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/godscp/godscp/dialer"
	"github.com/godscp/godscp/internal/tos"
)

// defaultFallbackDelay leaves a SYN that was lost by chance the time to be sent
// again, after 1 s (RFC 6298, section 2), and to be answered.
const defaultFallbackDelay = 1500 * time.Millisecond

var errNegativeDelay = errors.New("dscp: Dialer.FallbackDelay is negative")

// checkFallback finds what would fail every dial with Fallback.
func (d *Dialer) checkFallback(network string) error {
	if err := d.checkFallbackDelay(); err != nil {
		return err
	}
	for _, cp := range d.Fallback {
		if err := newMarking(cp, d.NATSafe, d.AllowUnmarked).check(network); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dialer) checkFallbackDelay() error {
	if d.FallbackDelay < 0 {
		return fmt.Errorf("%w: %v", errNegativeDelay, d.FallbackDelay)
	}
	return nil
}

// fallbackMarks returns the marks that a dial on the network may use, DSCP first
// and each once, or nil if there is only one.
func (d *Dialer) fallbackMarks(network string) []CodePoint {
	if len(d.Fallback) == 0 || !strings.HasPrefix(network, "tcp") {
		return nil
	}
	if tos.Host.Unmarkable != "" {
		return nil // no socket can be marked, so all attempts would be the same
	}
	marks := []CodePoint{d.marking().cp}
	for _, cp := range d.Fallback {
		if cp = newMarking(cp, d.NATSafe, false).cp; !slices.Contains(marks, cp) {
			marks = append(marks, cp)
		}
	}
	if len(marks) == 1 {
		return nil
	}
	return marks
}

// A fallback is one dial with several marks. Each attempt has a mark and a
// connection of its own.
type fallback struct {
	*Dialer
	network, address string
	marks            []CodePoint // as fallbackMarks returns them
	fixedPort        bool        // two connections cannot share it
	connect          func(context.Context, *net.Dialer) (*net.TCPConn, error)
}

// fallback prepares DialContext with several marks.
func (d *Dialer) fallback(network, address string, marks []CodePoint) *fallback {
	f := &fallback{Dialer: d, network: network, address: address, marks: marks}
	f.fixedPort = d.NetDialer != nil && hasPort(d.NetDialer.LocalAddr)
	f.connect = func(ctx context.Context, nd *net.Dialer) (*net.TCPConn, error) {
		c, err := nd.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}
	return f
}

// fallbackTCP prepares DialTCP with several marks.
func (d *Dialer) fallbackTCP(network string, laddr, raddr netip.AddrPort, marks []CodePoint) *fallback {
	f := &fallback{Dialer: d, network: network, address: raddr.String(), marks: marks}
	f.fixedPort = laddr.Port() != 0
	f.connect = func(ctx context.Context, nd *net.Dialer) (*net.TCPConn, error) {
		return nd.DialTCP(ctx, network, laddr, raddr)
	}
	return f
}

// dial returns the first connection that comes up.
func (f *fallback) dial(ctx context.Context) (*Conn, error) {
	ctx, cancel := f.bound(ctx)
	defer cancel()
	to := destination{f.network, f.address, f.marks[0]}
	order, why := f.order(to)
	a := attempts{
		count: len(order),
		why:   why,
		delay: cmp.Or(f.FallbackDelay, defaultFallbackDelay),
		alone: f.fixedPort,
		try: func(ctx context.Context, i int, why string, hasSocket func()) outcome {
			return f.try(ctx, order[i], why, hasSocket)
		},
		discard: f.discard,
	}
	o, errs := a.run(ctx)
	switch {
	case errs != nil:
		return nil, f.failure(order, errs)
	case o.err != nil:
		return nil, withCodePoint(o.err, order[0])
	}
	if cp := o.event.Requested; f.Memory != nil && cp != order[0] {
		// A remembered mark that connects again is not learnt again, so that DSCP
		// is tried first again once TTL has passed.
		f.Memory.learn(to, cp)
	}
	tracer(f.Trace).tell(o.event, o.conn, nil)
	return o.conn, nil
}

// order returns the marks in the order in which they are tried, and why the first
// of them is, for Trace.
func (f *fallback) order(to destination) (order []CodePoint, why string) {
	if f.Memory != nil {
		if works, ok := f.Memory.recall(to); ok && slices.Contains(f.marks, works) {
			return startingWith(works, f.marks), "remembered"
		}
	}
	return f.marks, "first"
}

// try makes one attempt, with the mark cp. It calls hasSocket before each
// socket connects.
func (f *fallback) try(ctx context.Context, cp CodePoint, why string, hasSocket func()) outcome {
	m := marking{cp, f.AllowUnmarked}
	nd := dialer.With(f.NetDialer, m.dialHook(), fastOpenOff, func(context.Context, string, string, syscall.RawConn) error {
		hasSocket()
		return nil
	})
	m.keepMPTCPOut(nd)
	o := outcome{event: Event{
		Op: "dial", Network: f.network, Address: f.address,
		Requested: cp, Rung: slices.Index(f.marks, cp), Why: why,
	}}
	begin := time.Now()
	c, err := f.connect(ctx, nd)
	if err == nil {
		o.conn, err = pinDialed(c, m)
	}
	o.event.Duration = time.Since(begin)
	if err == nil {
		return o
	}
	if context.Cause(ctx) == errOverdue && errors.Is(err, context.Canceled) {
		err = opError("dial", f.network, f.address, os.ErrDeadlineExceeded) // net can only say that it was cancelled
	}
	tracer(f.Trace).tell(o.event, nil, err)
	o.err = err
	o.final = !triggersFallback(err)
	return o
}

// discard closes a connection that came up after another one.
func (f *fallback) discard(late outcome) {
	tracer(f.Trace).tell(late.event, nil, errLost)
	late.conn.Close()
}

// failure returns the error of a dial in which every attempt has failed, or was
// not made. errs has the same order as the marks.
func (f *fallback) failure(order []CodePoint, errs []error) error {
	if !slices.ContainsFunc(errs, func(err error) bool { return !refused(err) }) {
		return errs[0] // refused whatever the mark
	}
	marked := make([]error, len(errs))
	for i, err := range errs {
		marked[i] = &dialError{order[i], err, f.address}
	}
	return opError("dial", f.network, f.address, &attemptsError{marked})
}

// attempts is the loop of a fallback: it starts the attempts, by index, and waits
// for the first that connects.
type attempts struct {
	count int
	why   string        // why the first attempt starts, for Trace
	delay time.Duration // from the first socket of an attempt until the next attempt starts
	alone bool          // no two attempts at once: after delay the next replaces the one before

	// try makes an attempt. It calls hasSocket when the name is looked up, and
	// returns soon after ctx has ended; the connection outlives ctx.
	try func(ctx context.Context, i int, why string, hasSocket func()) outcome

	// discard closes a connection that came up after another one.
	discard func(outcome)
}

// An outcome is what an attempt came to.
type outcome struct {
	conn  *Conn
	event Event // for Trace, without what the socket tells
	err   error
	final bool // another mark would fail, too
}

// errOverdue is the cause with which an attempt is cancelled that has to make
// room for the next.
var errOverdue = errors.New("FallbackDelay has passed")

// errNotStarted is the error of an attempt that was not made.
var errNotStarted = errors.New("not started")

// run starts the first attempt at once, and each further one when the newest has
// had a socket for delay, or has failed. Older attempts go on meanwhile. When ctx
// ends, it starts none and waits for those that run.
//
// It returns the outcome that settles the dial: that of the first attempt to
// connect, or a final error of the first attempt. Otherwise it returns the errors
// of all.
func (a *attempts) run(ctx context.Context) (outcome, []error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		attempt int
		outcome
	}
	sockets := make(chan int, a.count) // the attempts that have a socket
	results := make(chan result)
	returned := make(chan struct{})
	defer close(returned)
	timer := time.NewTimer(a.delay)
	timer.Stop() // until there is a socket
	defer timer.Stop()

	errs := slices.Repeat([]error{errNotStarted}, a.count)
	newest, running := -1, 0
	var cancelNewest context.CancelCauseFunc
	start := func(why string) {
		newest++
		running++
		timer.Stop()
		i := newest
		ctx, cancel := context.WithCancelCause(ctx)
		cancelNewest = cancel
		go func() {
			defer cancel(nil)
			o := a.try(ctx, i, why, sync.OnceFunc(func() { sockets <- i }))
			select {
			case results <- result{i, o}:
			case <-returned:
				if o.err == nil {
					a.discard(o)
				}
			}
		}()
	}
	more := func() bool { return newest < a.count-1 && !over(ctx) }
	start(a.why) // even if ctx has ended: the attempt's own error says more
	for running > 0 {
		select {
		case i := <-sockets:
			if i == newest {
				timer.Reset(a.delay)
			}
		case <-timer.C:
			switch {
			case !more():
			case a.alone:
				cancelNewest(errOverdue) // its failure starts the next
			default:
				start("delay")
			}
		case r := <-results:
			running--
			// A final error of a later attempt settles nothing: it may lack a
			// name server or a descriptor that the others have.
			if r.err == nil || r.final && r.attempt == 0 {
				return r.outcome, nil
			}
			errs[r.attempt] = r.err
			if r.attempt == newest && more() {
				start("failure")
			}
		}
	}
	return outcome{}, errs
}

// over reports whether ctx has ended, or is about to: an attempt that keeps its
// deadline by a timer of its own, as net's do, may fail a moment earlier.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// An attemptsError has one error for each mark, in the order in which they were
// tried.
type attemptsError struct{ errs []error }

func (e *attemptsError) Error() string {
	texts := make([]string, len(e.errs))
	for i, err := range e.errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e *attemptsError) Unwrap() []error { return e.errs }

// Timeout reports whether more time could have helped: an attempt timed out.
func (e *attemptsError) Timeout() bool { return slices.ContainsFunc(e.errs, isTimeout) }

// Temporary reports the same as Timeout; see [net.Error].
func (e *attemptsError) Temporary() bool { return e.Timeout() }

// triggersFallback reports whether a dial that ended with err might connect with
// another mark. A dial that was cancelled does not tell.
func triggersFallback(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return false // no packet to the server was sent
	}
	if _, ok := errors.AsType[*MarkError](err); ok {
		return false // the socket refused the mark: AllowUnmarked is for that
	}
	return isTimeout(err) || errors.Is(err, context.Canceled) || filtered(err)
}

// startingWith returns the marks with first before the others.
func startingWith(first CodePoint, marks []CodePoint) []CodePoint {
	order := []CodePoint{first}
	for _, cp := range marks {
		if cp != first {
			order = append(order, cp)
		}
	}
	return order
}

// bound returns a ctx that ends when NetDialer's Timeout or Deadline does, so
// that they hold for all attempts together.
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
