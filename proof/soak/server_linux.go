package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A server takes part in exchanges, or relays connections to another server. It has
// an echo for datagrams on the same port.
type server struct {
	*site
	mark     dscp.CodePoint
	host     string // to dial it by
	listener net.Listener
	echo     *echo // nil if it relays
	relayTo  *server
	running  sync.WaitGroup
}

// openServers opens one server of each kind: IPv4, IPv6, dual stack, by name, with a
// wrapped listener, and two that relay.
func (s *site) openServers() error {
	for _, k := range []struct {
		mark dscp.CodePoint
		bind string
		host string
		open func(lc *dscp.ListenConfig, address string) (net.Listener, error)
	}{
		{dscp.CS2, "127.0.0.1", "127.0.0.1", listen},
		{dscp.AF41, "::1", "::1", listen},
		{dscp.DF, "127.0.0.1", "127.0.0.1", listen},
		{dscp.LowDelay, "::", "127.0.0.1", listen}, // IPv4-mapped
		{dscp.CS6, "::", "::1", listen},
		{dscp.AF11, "::", "localhost", listen},
		{dscp.CS4, "127.0.0.1", "127.0.0.1", wrap},
	} {
		v := &server{site: s, mark: k.mark, host: k.host}
		if err := v.open(k.bind, k.open, true); err != nil {
			return err
		}
	}
	for i, host := range []string{"127.0.0.1", "::1"} {
		v := &server{site: s, mark: dscp.AF31, host: host, relayTo: s.servers[i]}
		if err := v.open(host, listen, false); err != nil {
			return err
		}
	}
	return nil
}

// listenConfig has a Control function, so that marking has to be chained to it.
func listenConfig(mark dscp.CodePoint) *dscp.ListenConfig {
	return &dscp.ListenConfig{DSCP: mark, NetListenConfig: &net.ListenConfig{Control: onLoopback}}
}

// onLoopback binds a socket to lo, also if its address is the wildcard.
func onLoopback(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) { err = os.NewSyscallError("bind to lo", unix.BindToDevice(int(fd), "lo")) })
	return errors.Join(cerr, err)
}

func listen(lc *dscp.ListenConfig, address string) (net.Listener, error) {
	return lc.Listen(context.Background(), "tcp", address)
}

func wrap(lc *dscp.ListenConfig, address string) (net.Listener, error) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // cannot be marked
	l, err := plain.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	wrapped, err := lc.Wrap(l.(*net.TCPListener))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return wrapped, nil
}

// open listens on a host, for datagrams too if echoes is set, and begins to serve.
func (s *server) open(host string, open func(*dscp.ListenConfig, string) (net.Listener, error), echoes bool) (err error) {
	lc := listenConfig(s.mark)
	for range 10 { // the port may be taken for datagrams
		if s.listener, err = open(lc, net.JoinHostPort(host, "0")); err != nil {
			return err
		}
		if !echoes {
			break
		}
		if s.echo, err = openEchoAt(s.tally, lc, s.listener.Addr().String()); err == nil {
			break
		}
		err = errors.Join(err, s.listener.Close())
	}
	if err != nil {
		return err
	}
	s.site.servers = append(s.site.servers, s)
	s.running.Go(s.accept)
	return nil
}

func (s *server) accept() {
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.tally.fail(fmt.Errorf("accept: %w", err))
			return
		}
		s.running.Go(func() { s.handle(c.(*dscp.Conn)) })
	}
}

// handle serves one connection.
func (s *server) handle(c *dscp.Conn) {
	defer c.Close()
	if c.DSCP() != s.mark {
		s.tally.fail(fmt.Errorf("an accepted connection is marked %v instead of %v", c.DSCP(), s.mark))
	}
	if s.relayTo != nil {
		s.relay(c)
		return
	}
	c.SetDeadline(time.Now().Add(opDeadline)) //nolint:errcheck // the read tells
	id, err := hear(c)
	if err != nil { // an attempt of Fallback that lost, a dial that was cancelled
		if err := s.tally.may("silent client", err, torn...); err != nil {
			s.tally.fail(err)
		}
		return
	}
	x := s.exchanges.take(id)
	switch {
	case x != nil:
		if err := say(c, id); err != nil {
			x.served <- outcome{send: err, receive: err}
			return
		}
		x.served <- x.server.run(c)
	case !s.exchanges.had(id):
		s.tally.fail(fmt.Errorf("%w: no exchange has the number %#x", errWrong, id))
	} // else the client has given up
}

// relay connects to another server and copies both ways, by splice.
func (s *server) relay(c *dscp.Conn) {
	d := dscp.Dialer{DSCP: s.mark}
	conn, err := d.Dial("tcp", s.relayTo.address())
	if err != nil {
		s.tally.fail(fmt.Errorf("relay: %w", err))
		return
	}
	defer conn.Close()
	far := conn.(*dscp.Conn)
	carry := func(to, from *dscp.Conn) error {
		_, err := to.ReadFrom(from)
		if err == nil {
			err = to.CloseWrite()
		}
		if err != nil { // reset both connections, so that the other direction ends, too
			for _, c := range []*dscp.Conn{to, from} {
				c.SetLinger(0) //nolint:errcheck // Close is what counts
				c.Close()
			}
		}
		return err
	}
	back := make(chan error, 1)
	go func() { back <- carry(c, far) }()
	for _, err := range []error{carry(far, c), <-back} {
		if err := s.tally.may("relay", err, reset, pipe, closed); err != nil {
			s.tally.fail(err)
		}
	}
}

func (s *server) address() string {
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		panic(err) // a listener has a port
	}
	return net.JoinHostPort(s.host, port)
}

// close waits for the connections that are being served.
func (s *server) close() error {
	err := s.listener.Close()
	if s.echo != nil {
		err = errors.Join(err, s.echo.close())
	}
	s.running.Wait()
	return err
}
