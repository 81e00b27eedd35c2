package dscp

import (
	"io"
	"net"
	"os"
	"syscall"

	"github.com/godscp/godscp/internal/tos"
)

// A Conn is a TCP connection whose mark is pinned: it stays what it was when
// the connection came up. It embeds net's own conn, so deadlines, half-close,
// writev, sendfile and splice are net's, and overrides only what could change
// the mark:
//
//   - SetDSCP refuses any other code point.
//   - SyscallConn is guarded, which makes the packages x/net/ipv4 and
//     x/net/ipv6 refuse as well.
//
// File and the embedded TCPConn itself bypass the guard. [Seal] has the kernel refuse
// changes by those, too.
//
// Code that asks for a *net.TCPConn by type does not see through a Conn. Known
// losses: grpc-go does not set TCP_USER_TIMEOUT (a hook in [Dialer.NetDialer]
// can) and holds a buffer for each idle connection, and io.CopyN from a Conn to
// an *os.File or to a bare *net.TCPConn does not use splice. [Dialer.Marked] and
// [ListenConfig.Marked] make bare conns for such code.
//
// A Conn may be used by several goroutines at once.
type Conn struct {
	*net.TCPConn
	pin       pin
	peer      CodePoint
	peerKnown bool
}

// Pin guards a connection that was made elsewhere. It pins the mark that c has
// and never changes it. On an accepted conn whose listener saved SYNs (see
// [Conn.PeerDSCP]) it takes the saved SYN. If it fails, c is left open.
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

// pinDialed is Pin for a conn that nobody else has: a failure closes it, and so
// does a mark that the system took from m and does not hold. No SYN ever came in
// on it.
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

// pinAccepted is Pin for a conn that nobody else has: a failure closes it, and so
// does a mark that is not the one of its listener, which has m.
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

// inherits returns an error if c, which was accepted, has not got its listener's
// mark cp, and the peer's mark is no reason for it.
func (c *Conn) inherits(cp CodePoint) error {
	if cp == DF || cp == c.pin.cp {
		return nil
	}
	// The kernel reflects the mark of the SYN, or, where SYN cookies were at
	// work, that of the ACK, which nobody keeps.
	if c.peerKnown && c.peer == c.pin.cp || !c.peerKnown && tos.Reflects() {
		return nil
	}
	return c.pin.opError("accept", &MarkError{
		CodePoint: cp, Option: c.pin.option.String(), Err: passing{notInherited(c.pin.cp.TOS())},
	})
}

// Of returns the Conn under c: c itself, or what the NetConn methods of
// [crypto/tls.Conn] and of other wrappers lead to. It reports false if there is
// none, for nil as well, and if a NetConn method panics, as that of a nil
// *tls.Conn does.
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

// under returns what w wraps, or nil if w, which may be a nil pointer, cannot tell.
func under(w interface{ NetConn() net.Conn }) (c net.Conn) {
	defer func() {
		if recover() != nil {
			c = nil
		}
	}()
	return w.NetConn()
}

// DSCP returns the mark that c is pinned at: what the kernel held when the
// connection came up, which AllowUnmarked, the caller's own hook or
// net.ipv4.tcp_reflect_tos may have made another than was asked for. It makes
// no system call.
func (c *Conn) DSCP() CodePoint { return c.pin.cp }

// SetDSCP returns nil if cp is the mark that c has. It refuses any other without
// a system call, with an error that matches [ErrMidFlow] ([ErrRange] if cp is
// above 63); the connection lives on untouched.
func (c *Conn) SetDSCP(cp CodePoint) error { return c.pin.setDSCP(cp) }

// PeerDSCP returns the mark of the SYN with which the peer opened the
// connection, as it arrived here: the path may have changed it. It is known on
// Linux, for conns from a [Listener] and for those given to [Pin] whose listener
// had TCP_SAVE_SYN set; not for those that came up by a SYN cookie, and never for
// dialled ones.
func (c *Conn) PeerDSCP() (cp CodePoint, ok bool) { return c.peer, c.peerKnown }

// Verify returns nil while the kernel still holds the pinned mark, an error that
// matches [ErrMidFlow] if it was changed by one of the ways out, and
// one that matches [net.ErrClosed] after Close. It tells what the socket is set
// to; it says nothing of what the path does to the packets.
func (c *Conn) Verify() error { return c.pin.verify() }

// SyscallConn returns a raw connection that does not let the mark be changed.
// It implements [syscall.Conn].
//
// When x/net's ipv4 and ipv6 packages set a mark, that is tried on another socket
// first. If it is not the pinned one, the call returns an error that matches
// [ErrMidFlow], and the connection is not touched. The other options that these
// packages set go straight to the socket.
//
// What other functions do cannot be known beforehand. They run once, on the real
// socket; if one has changed the mark, that is put back, with the SO_PRIORITY that
// Linux changes along with IP_TOS, and the call returns ErrMidFlow. On a busy
// connection the kernel may have sent packets in between, and one is enough for a
// box that resets: setting an option waits for the socket, and the scheduler may
// interrupt. After [Seal] the kernel refuses the change itself.
//
// Such functions may call the methods of the same conn, and wait for others that
// do. If several are at work when a change is found, each of them gets the error:
// which has made it cannot be told.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.pin.guarded() }

// ReadFrom implements [io.ReaderFrom] as net's own conn does. It shows net the
// bare conn under a Conn, alone or in an [io.LimitedReader], so that splice
// still works between the two.
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

// bareOf returns the bare conn of r if r is a Conn, or is what WriteTo makes of one.
func bareOf(r io.Reader) *net.TCPConn {
	switch v := r.(type) {
	case *Conn:
		return v.TCPConn
	case connWithoutWriteTo:
		return v.tcpMethods.(*Conn).TCPConn
	}
	return nil
}

// WriteTo implements [io.WriterTo], by which [io.Copy] reads from a Conn. It shows
// the bare conn to nobody but the types of net and os that splice from it. Another
// w that has a ReadFrom method gets a reader whose SyscallConn is guarded.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	switch w.(type) {
	case *net.TCPConn, *net.UnixConn, *os.File:
		return c.TCPConn.WriteTo(w)
	}
	n, err := io.Copy(w, connWithoutWriteTo{c})
	if err != nil { // in net's form
		err = &net.OpError{Op: "writeto", Net: "tcp", Source: c.pin.local, Addr: c.pin.remote, Err: err}
	}
	return n, err
}

// A connWithoutWriteTo is a *Conn without that method, which would have io.Copy
// call itself.
type connWithoutWriteTo struct{ tcpMethods }

// tcpMethods are those that a reader of net's own has as well, as far as they can
// be of use to who gets one. x/net knows TCP by SetLinger.
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
