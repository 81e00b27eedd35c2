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

// defaultFallbackDelay leaves time to send a lost SYN again, after 1 s (RFC 6298,
// section 2), and to get its answer.
const defaultFallbackDelay = 1500 * time.Millisecond

var errNegativeDelay = errors.New("dscp: Dialer.FallbackDelay is negative")

// checkFallback checks FallbackDelay and Fallback before a socket is made.
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

// fallbackMarks returns the marks that a dial on the network may use, each once and DSCP
// first. It returns nil if there is only one.
func (d *Dialer) fallbackMarks(network string) []CodePoint {
	if len(d.Fallback) == 0 || !strings.HasPrefix(network, "tcp") {
		return nil
	}
	if tos.Host.Unmarkable != "" {
		return nil // no socket can be marked: all attempts would be equal
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

// A fallback is one dial with several marks. Each attempt makes another connection with
// another mark.
type fallback struct {
	*Dialer
	network, address string
	marks            []CodePoint // as fallbackMarks returns them
	fixedPort        bool        // whether the local port is given: two connections cannot share it
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
		// A remembered mark that connects again does not renew the entry: after TTL
		// a dial starts with DSCP again.
		f.Memory.learn(to, cp)
	}
	tracer(f.Trace).tell(o.event, o.conn, nil)
	return o.conn, nil
}

// order returns the marks in the order in which they are tried, and for Trace the
// reason for the first.
func (f *fallback) order(to destination) (order []CodePoint, why string) {
	if f.Memory != nil {
		if works, ok := f.Memory.recall(to); ok && slices.Contains(f.marks, works) {
			return startingWith(works, f.marks), "remembered"
		}
	}
	return f.marks, "first"
}

// try makes one attempt with the mark cp. It calls hasSocket before each socket
// connects.
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
		err = opError("dial", f.network, f.address, os.ErrDeadlineExceeded) // net reports a cancellation
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

// failure returns the error of a dial in which every attempt has failed or was not
// started. errs is in the order of the marks.
func (f *fallback) failure(order []CodePoint, errs []error) error {
	if !slices.ContainsFunc(errs, func(err error) bool { return !refused(err) }) {
		return errs[0] // refused with every mark
	}
	marked := make([]error, len(errs))
	for i, err := range errs {
		marked[i] = &dialError{order[i], err, f.address}
	}
	return opError("dial", f.network, f.address, &attemptsError{marked})
}

// attempts starts the attempts of a fallback, by index, and waits for the first that
// connects.
type attempts struct {
	count int
	why   string        // why the first attempt starts, for Trace
	delay time.Duration // from the first socket of an attempt until the next attempt starts
	alone bool          // never two attempts at once: after delay the running one is cancelled first

	// try makes an attempt. It calls hasSocket after the lookup of the name, and
	// returns soon after ctx has ended. The connection stays up after ctx has ended.
	try func(ctx context.Context, i int, why string, hasSocket func()) outcome

	// discard closes a connection that came up after another one.
	discard func(outcome)
}

// An outcome is the result of an attempt.
type outcome struct {
	conn  *Conn
	event Event // for Trace, without addresses and Effective
	err   error
	final bool // another mark would fail, too
}

// errOverdue is the cause with which a running attempt is cancelled before the next
// one starts.
var errOverdue = errors.New("FallbackDelay has passed")

// errNotStarted is the error of an attempt that was not started.
var errNotStarted = errors.New("not started")

// run starts the first attempt at once. It starts each further attempt when the newest
// one has had a socket for delay or has failed; older attempts go on. After ctx has
// ended it starts none and waits for those that run.
//
// It returns the outcome of the first attempt that connects, or that of attempt 0 if its
// error is final. Otherwise it returns the errors of all attempts.
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
	start(a.why) // even if ctx has ended: the error of the attempt says how
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
			// A final error of a later attempt does not end the dial: that attempt
			// may have failed for want of a descriptor, while the others go on.
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

// over reports whether ctx has ended or its deadline has passed. An attempt of net has
// its own timer for the deadline and can fail a moment before ctx ends.
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

// Timeout reports whether an attempt timed out, so that more time could have helped.
func (e *attemptsError) Timeout() bool { return slices.ContainsFunc(e.errs, isTimeout) }

// Temporary reports the same as Timeout; see [net.Error].
func (e *attemptsError) Temporary() bool { return e.Timeout() }

// triggersFallback reports whether a dial that failed with err might connect with
// another mark. A cancelled dial might.
func triggersFallback(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return false // no packet to the server was sent
	}
	if _, ok := errors.AsType[*MarkError](err); ok {
		return false // the socket cannot be marked; see AllowUnmarked
	}
	return isTimeout(err) || errors.Is(err, context.Canceled) || filtered(err)
}

// startingWith returns marks with first moved to the front.
func startingWith(first CodePoint, marks []CodePoint) []CodePoint {
	order := []CodePoint{first}
	for _, cp := range marks {
		if cp != first {
			order = append(order, cp)
		}
	}
	return order
}

// bound returns a context that ends at NetDialer's Timeout or Deadline, so that these
// hold for all attempts together.
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
