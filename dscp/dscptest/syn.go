package dscptest

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/godscp/godscp/dscp"
)

// SYN returns the mark of the SYN with which the peer of an accepted connection
// began it, as it arrived. Connections that wrap others and have a NetConn
// method, like those of crypto/tls, are unwrapped.
//
// The listener must have saved the SYN: those of [dscp.ListenConfig] do, at any
// code point, the zero value included. On another listener with TCP_SAVE_SYN
// the kernel hands each SYN out once, so that a second call fails.
func SYN(c net.Conn) (dscp.CodePoint, error) {
	if p, ok := dscp.Of(c); ok {
		if cp, ok := p.PeerDSCP(); ok {
			return cp, nil
		}
		return 0, errNoSavedSYN
	}
	tcp, err := bareTCP(c)
	if err != nil {
		return 0, err
	}
	return peerSYN(tcp) // in syn_linux.go, syn_other.go
}

var errNoSavedSYN = errors.New("dscptest: no SYN was saved: accept the connection from a listener of dscp.ListenConfig")

// bareTCP finds the TCP connection under c.
func bareTCP(c net.Conn) (*net.TCPConn, error) {
	for {
		switch under := c.(type) {
		case *net.TCPConn:
			return under, nil
		case *dscp.Conn:
			return under.TCPConn, nil
		case interface{ NetConn() net.Conn }:
			c = under.NetConn()
		default:
			return nil, fmt.Errorf("dscptest: no TCP connection under a %T", c)
		}
	}
}

// RequireMark stops the test unless the peer of an accepted connection marks it
// with cp: its SYN must have arrived with cp (see [SYN]), and its socket, if it
// is in this network namespace and can be looked at, must be set to cp now. It
// is for tests that want proof of a mark and no box.
func RequireMark(tb testing.TB, c net.Conn, cp dscp.CodePoint) {
	tb.Helper()
	got, err := SYN(c)
	if err != nil {
		stop(tb, err)
		return
	}
	if got != cp {
		tb.Fatalf("dscptest: the SYN of %v carried %v, not %v", c.RemoteAddr(), got, cp)
		return
	}
	tcp, err := bareTCP(c)
	if err != nil {
		tb.Fatal(err)
		return
	}
	if now, ok := peerMark(tcp); ok && now != cp {
		tb.Fatalf("dscptest: the SYN of %v carried %v, and its socket is set to %v now", c.RemoteAddr(), cp, now)
	}
}
