package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// marks are the special cases; mark returns the other code points as well.
var marks = []dscp.CodePoint{
	dscp.DF, dscp.AF21, dscp.EF, dscp.LE, dscp.CS1, dscp.CS7, dscp.AF43,
	dscp.LowDelay, dscp.Throughput, dscp.VoiceAdmit, dscp.NQB, 63,
}

func (w *worker) mark() dscp.CodePoint {
	if w.chance(3) {
		return dscp.CodePoint(w.rng.IntN(64))
	}
	return one(w, marks)
}

// dialer returns a random Dialer, and the mark that its connections must have.
func (w *worker) dialer() (*dscp.Dialer, dscp.CodePoint) {
	d := &dscp.Dialer{DSCP: w.mark(), NATSafe: w.chance(4), AllowUnmarked: w.chance(4)}
	if w.chance(2) {
		d.NetDialer = &net.Dialer{Timeout: opDeadline, Control: keepAlive}
	}
	if w.chance(4) {
		d.Trace = w.traced
	}
	return d, shown(d, d.DSCP)
}

// keepAlive is a Control function, so that marking has to be chained to one. It does
// not bind clients to lo: Linux may give the port of a bound client to one that is
// not bound, and then mixes up what is sent to them.
func keepAlive(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	})
	return errors.Join(cerr, err)
}

// shown returns the mark of a socket that d dials with cp.
func shown(d *dscp.Dialer, cp dscp.CodePoint) dscp.CodePoint {
	if d.NATSafe {
		return cp.NATSafe()
	}
	return cp
}

// traced checks that the fields of an event agree.
func (w *worker) traced(e dscp.Event) {
	if e.Op != "dial" || (e.Err == nil) != (e.Remote != nil) || e.Err == nil && e.Effective != e.Requested {
		w.tally.fail(fmt.Errorf("an event contradicts itself: %+v", e))
	}
}

// dialerTo returns a random dialer whose mark gets through to b.
func (w *worker) dialerTo(b *box) (*dscp.Dialer, dscp.CodePoint) {
	for {
		d, mark := w.dialer()
		if b == nil || !slices.Contains(b.drops, mark) {
			return d, mark
		}
	}
}

// dial connects in a random way and checks the mark of the connection.
func (w *worker) dial(d *dscp.Dialer, address string) (*dscp.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), opDeadline)
	defer cancel()
	c, err := w.dialSomehow(ctx, d, address)
	if err != nil {
		return nil, err
	}
	w.tally.connections.Add(1)
	if found, ok := dscp.Of(c); !ok || found.DSCP() != c.DSCP() {
		return nil, fmt.Errorf("dscp.Of finds %v", found)
	}
	return c, c.Verify()
}

func (w *worker) dialSomehow(ctx context.Context, d *dscp.Dialer, address string) (*dscp.Conn, error) {
	ways := 5
	if len(d.Fallback) > 0 {
		ways = 3 // the other ways have no Fallback
	}
	switch w.rng.IntN(ways) {
	case 0:
		return pinned(d.DialContext(ctx, "tcp", address))
	case 1:
		return pinned(d.Dial("tcp", address))
	case 2:
		to, err := netip.ParseAddrPort(address)
		if err != nil { // a name
			return pinned(d.DialContext(ctx, "tcp", address))
		}
		return d.DialTCP(ctx, "tcp", netip.AddrPort{}, to)
	case 3:
		return pin(d.Marked().DialContext(ctx, "tcp", address))
	default:
		nd := net.Dialer{Control: dscp.Control(shown(d, d.DSCP)), Timeout: time.Minute}
		return pin(nd.DialContext(ctx, "tcp", address))
	}
}

func pinned(c net.Conn, err error) (*dscp.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c.(*dscp.Conn), nil
}

func pin(c net.Conn, err error) (*dscp.Conn, error) {
	if err != nil {
		return nil, err
	}
	return dscp.Pin(c.(*net.TCPConn))
}
