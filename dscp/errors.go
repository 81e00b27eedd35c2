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
// connection (section 3.9.2, SHLD-23); RFC 7657, section 5.3, recommends a single
// DSCP for all packets of a TCP connection. To use another code point, make
// another connection.
var ErrMidFlow = errors.New("dscp: cannot change the DSCP of a live flow")

// An UnsupportedError reports that a socket cannot be marked on this system: the
// system lacks the option, refuses it for this kind of socket, or accepts it and
// ignores it. It matches [errors.ErrUnsupported]. [errors.As] finds a
// *UnsupportedError in the [net.OpError] that names the address.
//
// Package dscptest returns it, too, where the system lacks what a sensor needs.
type UnsupportedError struct {
	OS        string    // as in runtime.GOOS
	Network   string    // such as "tcp4" or "udp6"; may be empty
	Option    string    // the socket option or facility that is missing, such as "IPV6_TCLASS"
	CodePoint CodePoint // the mark that was asked for
	Err       error     // the reason; the system's error if there is one
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

// A MarkError reports that the socket option of a mark could not be set or read back,
// or that an accepted connection did not inherit its listener's mark. [errors.As] finds
// a *MarkError in the [net.OpError] that names the operation and the address. A dial
// that fails for another reason, such as a timeout or an error of the caller's own hook,
// has no MarkError, but its text names the code point as well.
type MarkError struct {
	CodePoint CodePoint // the mark that was asked for

	// Option is "IP_TOS", "IPV6_TCLASS" or "IPV6_V6ONLY". With ListenConfig.Reflect it
	// may be another option of the sockets of a Listener, such as "SO_REUSEPORT".
	Option string

	Err error // the reason, mostly the system's error
}

func (e *MarkError) Error() string {
	if strings.HasPrefix(e.Option, "SO_") || strings.Contains(e.Option, "_MIN") { // its value is not a mark
		return fmt.Sprintf("dscp: %s for %v: %v", e.Option, e.CodePoint, e.Err)
	}
	return fmt.Sprintf("dscp: %s = %v (0x%02x): %v", e.Option, e.CodePoint, e.CodePoint.TOS(), e.Err)
}

// Unwrap returns e.Err.
func (e *MarkError) Unwrap() error { return e.Err }

// Timeout reports whether e.Err is a timeout, as the [net.OpError] around e expects.
func (e *MarkError) Timeout() bool { return isTimeout(e.Err) }

// Temporary reports whether e.Err is temporary; see [net.Error].
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
	if op, ok := err.(*net.OpError); ok && op.Addr != nil && op.Addr.String() == e.addr && !hasSource(op.Source) {
		err = op.Err // the text names each address once
	}
	return fmt.Sprintf("with DSCP %v: %v", e.cp, err)
}

// hasSource reports whether source, of an error, is a local address. net's DialTCP
// without one puts ":0" there.
func hasSource(source net.Addr) bool { return source != nil && source.String() != ":0" }

func (e *dialError) Unwrap() error   { return e.err }
func (e *dialError) Timeout() bool   { return isTimeout(e.err) }
func (e *dialError) Temporary() bool { return isTemporary(e.err) }

// A passing error reports true from Temporary, so that the accept loops of servers go
// on.
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

// withCodePoint adds cp to the error of a dial. It does not change an error from before
// there was an address to connect to (lookup, parsing), nor one that names the code
// point already.
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

// opError returns the error of an operation that ended before net was called.
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
