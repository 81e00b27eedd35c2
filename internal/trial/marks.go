package trial

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/godscp/godscp/internal/tos"
)

// octet is what the trials mark with.
const octet = 0x48

// Inherited is whether an accepted connection has the mark of its listener. gVisor
// hands none on.
var Inherited = once(func() error {
	server, end, err := accepted(func(c syscall.RawConn) error { return tos.IPv4TOS.Set(c, octet) })
	if err != nil {
		return nil
	}
	defer end()
	if got, err := tos.IPv4TOS.Get(server); err == nil && got != octet {
		return errors.New("accepted connections do not inherit the mark of their listener here")
	}
	return nil
})

// SavedSYN is whether the kernel saves SYNs. gVisor takes the option and saves none.
var SavedSYN = once(func() error {
	if tos.Host.Unmarkable != "" {
		return nil
	}
	server, end, err := accepted(tos.SaveSYN)
	if err != nil {
		return nil
	}
	defer end()
	if _, ok := tos.SavedSYN(server); !ok {
		return errors.New("the kernel saves no SYNs here")
	}
	return nil
})

// SeparateOptions is whether IP_TOS of an IPv6 TCP socket is another value than its
// IPV6_TCLASS. In gVisor they are one.
var SeparateOptions = once(func() error {
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp6", "[::1]:0")
	if err != nil {
		return nil
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil || tos.IPv6TClass.Set(raw, octet) != nil || tos.IPv4TOS.Set(raw, 0) != nil {
		return nil
	}
	if got, err := tos.IPv6TClass.Get(raw); err == nil && got != octet {
		return errors.New("IP_TOS and IPV6_TCLASS of a TCP socket are one option here")
	}
	return nil
})

// Messages is whether a control message sets the octet of one datagram.
func Messages() error {
	for _, o := range tos.Both {
		if o.IgnoresMessage() {
			return tos.IgnoredMessage(o)
		}
	}
	return nil
}

// accepted returns an accepted connection, whose listener a hook has prepared, and
// what closes it.
func accepted(prepare func(syscall.RawConn) error) (c syscall.RawConn, end func(), err error) {
	var open []interface{ Close() error }
	end = func() {
		for _, c := range open {
			c.Close()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return prepare(c) }}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, end, err
	}
	open = append(open, l)
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return nil, end, err
	}
	open = append(open, client)
	server, err := l.Accept()
	if err != nil {
		return nil, end, err
	}
	open = append(open, server)
	c, err = server.(*net.TCPConn).SyscallConn()
	return c, end, err
}
