package dscp

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrMidFlow is returned, wrapped, when an attempt to change the DSCP of a live
// flow is refused, and by [Conn.Verify] and [UDPConn.Verify] when the kernel no
// longer holds the pinned DSCP.
//
// RFC 9293 asks applications not to change the Diffserv field during a
// connection (section 3.9.2, SHLD-23); RFC 7657, section 5.3, wants a single
// DSCP for all packets of a TCP connection. To use another code point, make
// another connection.
var ErrMidFlow = errors.New("dscp: cannot change the DSCP of a live flow")

// An UnsupportedError says that a socket cannot be marked here: the operating
// system has no such option, refuses it for this kind of socket, or accepts it
// and ignores it. It matches [errors.ErrUnsupported], and [errors.As] finds it
// as a *UnsupportedError under the [net.OpError] that names the address.
//
// Package dscptest uses it too, where a system lacks what its sensors need.
type UnsupportedError struct {
	OS        string    // as in runtime.GOOS
	Network   string    // "tcp4", "udp6", … ; empty where it does not matter
	Option    string    // the socket option or facility that is missing, "IPV6_TCLASS"
	CodePoint CodePoint // the mark that was asked for
	Err       error     // the reason: the system's error where it gave one
}

func (e *UnsupportedError) Error() string {
	s := "dscp: unsupported on " + e.OS
	if e.Option != "" {
		s += ": " + e.Option
	}
	if e.Network != "" {
		s += " on " + e.Network
	}
	if e.CodePoint != DF {
		s += " for " + e.CodePoint.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns e.Err.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// Is reports whether target is [errors.ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// A MarkError says that a socket does not carry a mark because setting or reading
// back the socket option failed, or that an accepted one did not inherit its
// listener's mark. It stands inside the [net.OpError] that names the
// operation and the address. A dial that fails for any other reason, the network's
// or that of the caller's own hook, makes no MarkError, though its text names the
// code point, too.
type MarkError struct {
	CodePoint CodePoint // the mark that was asked for
	Option    string    // "IP_TOS" or "IPV6_TCLASS", or "IPV6_V6ONLY", which tells what must be set; a group (ListenConfig.Reflect) has others
	Err       error     // the reason, mostly the system's
}

func (e *MarkError) Error() string {
	if strings.HasPrefix(e.Option, "SO_") || strings.Contains(e.Option, "_MIN") { // its value is no mark
		return fmt.Sprintf("dscp: %s for %v: %v", e.Option, e.CodePoint, e.Err)
	}
	return fmt.Sprintf("dscp: %s = %v (0x%02x): %v", e.Option, e.CodePoint, e.CodePoint.TOS(), e.Err)
}

// Unwrap returns e.Err.
func (e *MarkError) Unwrap() error { return e.Err }

// Timeout reports whether e.Err is a timeout, so that the [net.OpError] around
// e still answers as before.
func (e *MarkError) Timeout() bool { return isTimeout(e.Err) }

// Temporary reports what e.Err reports; see [net.Error].
func (e *MarkError) Temporary() bool { return isTemporary(e.Err) }

// A dialError adds the code point to the error of a marked dial that did not fail
// because of the mark itself: a timeout may mean that the path drops such packets.
type dialError struct {
	cp   CodePoint
	err  error
	addr string // the address that the error around this one names
}

func (e *dialError) Error() string {
	err := e.err
	if op, ok := err.(*net.OpError); ok && op.Addr != nil && op.Addr.String() == e.addr && !tells(op.Source) {
		err = op.Err // the text names each address once
	}
	return fmt.Sprintf("with DSCP %v: %v", e.cp, err)
}

// tells reports whether the source address in an error says anything: net's DialTCP
// without a local address puts ":0" there.
func tells(source net.Addr) bool { return source != nil && source.String() != ":0" }

func (e *dialError) Unwrap() error   { return e.err }
func (e *dialError) Timeout() bool   { return isTimeout(e.err) }
func (e *dialError) Temporary() bool { return isTemporary(e.err) }

// A passing error is one after which the loops of servers go on accepting.
type passing struct{ error }

func (e passing) Unwrap() error { return e.error }
func (passing) Temporary() bool { return true }

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

func isTemporary(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

// withCodePoint puts cp into an error of a dial, net's or pinning's. Errors from
// before there was an address to connect to (lookup, parsing) stay as they are,
// and so do those that name the code point already.
func withCodePoint(err error, cp CodePoint) error {
	op, ok := err.(*net.OpError)
	if !ok || cp == DF || op.Addr == nil || !markable(op.Net) {
		return err
	}
	if _, ok := errors.AsType[*MarkError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*UnsupportedError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*dialError](err); ok {
		return err
	}
	marked := *op
	marked.Err = &dialError{cp: cp, err: op.Err}
	return &marked
}

// opError is the error of an operation that ended before net took part.
func opError(op, network, address string, err error) error {
	e := &net.OpError{Op: op, Net: network, Err: err}
	if address != "" {
		e.Addr = textAddr{network, address}
	}
	return e
}

// bare returns the error inside a net.OpError, whose addresses another one names.
func bare(err error) error {
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}

// textAddr is an address as the caller wrote it.
type textAddr struct{ network, address string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.address }
