package dscp

import (
	"io"
	"net"
	"os"
	"syscall"

	"github.com/godscp/godscp/internal/tos"
)

// A Conn is a TCP connection whose mark is pinned: it stays what it was when the
// connection came up. A Conn embeds a [net.TCPConn], so deadlines, half-close,
// writev, sendfile and splice work as in net. It differs in two methods:
//
//   - SetDSCP refuses any other code point.
//   - SyscallConn is guarded, so packages x/net/ipv4 and x/net/ipv6 cannot change
//     the mark either.
//
// File and the embedded TCPConn bypass the guard. After [Seal] the kernel refuses
// changes by those, too.
//
// Code that asserts the type *net.TCPConn does not recognise a Conn. Known
// consequences: grpc-go does not set TCP_USER_TIMEOUT (a hook in [Dialer.NetDialer]
// can) and keeps a buffer for each idle connection, and io.CopyN from a Conn to
// an *os.File or to a bare *net.TCPConn does not use splice. [Dialer.Marked] and
// [ListenConfig.Marked] make bare conns for such code.
//
// A Conn comes from [Dialer], [Listener] or [Pin]; its zero value is not usable. Several
// goroutines may use a Conn at once.
type Conn struct {
	*net.TCPConn
	pin       pin
	peer      CodePoint
	peerKnown bool
}

// Pin guards a connection that this package has not made. It pins the mark that c has,
// without changing it. If c was accepted and its listener saved SYNs (see
// [Conn.PeerDSCP]), Pin reads the saved SYN, which the kernel hands out once.
//
// The error is a [net.OpError]. It matches [net.ErrClosed] if c is closed and
// [syscall.EINVAL] if c is nil. If Pin fails, c is left open.
func Pin(c *net.TCPConn) (*Conn, error) {
	if c == nil {
		return nil, opError("pin", "tcp", "", syscall.EINVAL)
	}
	conn := &Conn{TCPConn: c}
	if err := conn.pin.set(c); err != nil {
		return nil, err
	}
	octet, ok := tos.SavedSYN(conn.pin.raw)
	conn.peer, conn.peerKnown = FromTOS(octet), ok
	return conn, nil
}

// pinDialed pins a conn that was just dialled and closes it on an error. It is an
// error, too, if the socket does not hold the mark of m. It looks for no saved SYN:
// a dialled conn has none.
func pinDialed(c *net.TCPConn, m marking) (*Conn, error) {
	conn := &Conn{TCPConn: c}
	err := conn.pin.set(c)
	switch {
	case err == nil:
		err = m.tolerate(conn.pin.holds(m.cp))
	case m.cp != DF:
		err = conn.pin.unreadable(m.cp, err)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return conn, nil
}

// pinAccepted pins a conn that was just accepted and closes it on an error. It is an
// error, too, if the conn did not inherit the mark m of its listener.
func pinAccepted(c *net.TCPConn, m marking) (*Conn, error) {
	conn, err := Pin(c)
	if err == nil {
		err = m.tolerate(conn.inherits(m.cp))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return conn, nil
}

// inherits returns an error if the accepted conn c does not have its listener's mark
// cp and the kernel has not reflected the peer's mark either.
func (c *Conn) inherits(cp CodePoint) error {
	if cp == DF || cp == c.pin.cp {
		return nil
	}
	// The kernel reflects the mark of the SYN or, with SYN cookies, that of the
	// ACK, which it does not save.
	if c.peerKnown && c.peer == c.pin.cp || !c.peerKnown && tos.Reflects() {
		return nil
	}
	return c.pin.opError("accept", &MarkError{
		CodePoint: cp, Option: c.pin.option.String(), Err: passing{notInherited(c.pin.cp.TOS())},
	})
}

// Of returns the Conn under c: c itself, or the Conn that NetConn methods lead to, such
// as that of [crypto/tls.Conn]. It reports false if there is none, if c is nil, and if
// a NetConn method panics, as that of a nil *tls.Conn does.
func Of(c net.Conn) (conn *Conn, ok bool) {
	for range 32 { // wrappers nest a few levels; more is a loop
		switch v := c.(type) {
		case *Conn:
			return v, v != nil
		case interface{ NetConn() net.Conn }:
			c = under(v)
		default:
			return nil, false
		}
	}
	return nil, false
}

// under returns what w wraps, or nil if its NetConn method panics.
func under(w interface{ NetConn() net.Conn }) (c net.Conn) {
	defer func() {
		if recover() != nil {
			c = nil
		}
	}()
	return w.NetConn()
}

// DSCP returns the mark that c is pinned at: the one that the kernel held when the
// connection came up. It can differ from the mark that was asked for because of
// AllowUnmarked, of the caller's own hook or of net.ipv4.tcp_reflect_tos. DSCP makes
// no system call and also works after Close.
func (c *Conn) DSCP() CodePoint { return c.pin.cp }

// SetDSCP returns nil if cp is the mark that c is pinned at. For any other code point
// it returns an error that matches [ErrMidFlow], or [ErrRange] if cp is above 63. It
// makes no system call; the connection is not affected.
func (c *Conn) SetDSCP(cp CodePoint) error { return c.pin.setDSCP(cp) }

// PeerDSCP returns the mark of the SYN with which the peer opened the
// connection, as it arrived here: the path may have changed it. ok is false if it is
// not known. It is known on Linux, for conns from a [Listener] and for those given to
// [Pin] whose listener had TCP_SAVE_SYN set. It is not known for conns that came up by
// a SYN cookie and for dialled conns.
func (c *Conn) PeerDSCP() (cp CodePoint, ok bool) { return c.peer, c.peerKnown }

// Verify returns nil if the kernel still holds the pinned mark, an error that matches
// [ErrMidFlow] if the option was changed through File or the embedded TCPConn, and one
// that matches [net.ErrClosed] after Close. It reads the socket option; it cannot know
// what the path does to the packets.
func (c *Conn) Verify() error { return c.pin.verify() }

// SyscallConn returns a raw connection that refuses to change the mark. It implements
// [syscall.Conn].
//
// If a method of x/net's ipv4 or ipv6 package sets a mark, the raw connection first
// tries this on another socket. If the result is not the pinned mark, the method
// returns an error that matches [ErrMidFlow], and the connection is not affected. The
// other options that these packages set go straight to the socket.
//
// What any other function does cannot be known beforehand. It runs once, on the real
// socket. If it has changed the mark, the raw connection restores the mark, and the
// SO_PRIORITY that Linux changes along with IP_TOS, and returns an error that matches
// ErrMidFlow. On a busy connection the kernel may have sent packets with the other mark
// in between, and one is enough for a box that resets. After [Seal] the kernel refuses
// the change itself.
//
// Such a function may call methods of the same conn, and wait for other functions that
// do. If several run when a change is found, each of them gets the error, since it is
// not known which one made the change.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.pin.guarded() }

// ReadFrom implements [io.ReaderFrom] like [net.TCPConn.ReadFrom]. If r is a Conn,
// alone or in an [io.LimitedReader], ReadFrom passes the bare conn to net, so that
// splice works between two Conns.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if src := bareOf(r); src != nil {
		r = src
	} else if v, ok := r.(*io.LimitedReader); ok {
		if src := bareOf(v.R); src != nil {
			bare := &io.LimitedReader{R: src, N: v.N}
			defer func() { v.N = bare.N }()
			r = bare
		}
	}
	return c.TCPConn.ReadFrom(r)
}

// bareOf returns the bare conn of r if r is a Conn or the reader that WriteTo makes of
// one.
func bareOf(r io.Reader) *net.TCPConn {
	switch v := r.(type) {
	case *Conn:
		return v.TCPConn
	case connWithoutWriteTo:
		return v.tcpMethods.(*Conn).TCPConn
	}
	return nil
}

// WriteTo implements [io.WriterTo], which [io.Copy] calls to read from a Conn. If w is
// of a type of net or os that can splice, it reads from the bare conn. Any other w that
// has a ReadFrom method gets a reader whose SyscallConn is guarded.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	switch w.(type) {
	case *net.TCPConn, *net.UnixConn, *os.File:
		return c.TCPConn.WriteTo(w)
	}
	n, err := io.Copy(w, connWithoutWriteTo{c})
	if err != nil {
		err = &net.OpError{Op: "writeto", Net: "tcp", Source: c.pin.local, Addr: c.pin.remote, Err: err}
	}
	return n, err
}

// A connWithoutWriteTo is a *Conn without the method WriteTo, which io.Copy would call
// again.
type connWithoutWriteTo struct{ tcpMethods }

// tcpMethods has the methods of net's own reader that a ReadFrom method may use. x/net
// recognises TCP by SetLinger.
type tcpMethods interface {
	net.Conn
	syscall.Conn
	CloseRead() error
	CloseWrite() error
	SetKeepAlive(bool) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetLinger(int) error
	SetNoDelay(bool) error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
}

// NetConn returns the Conn, for [Of].
func (c connWithoutWriteTo) NetConn() net.Conn { return c.tcpMethods }
