package main

import (
	"errors"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A site is everything that operations need: servers, places for boxes, ports
// where nobody listens.
type site struct {
	payload   *payload
	tally     *tally
	exchanges registry
	servers   []*server
	places    []*place
	nobody    []nobody
	memory    dscp.Memory
}

func openSite(p *payload, t *tally) (*site, error) {
	s := &site{payload: p, tally: t, memory: dscp.Memory{Limit: 100}}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) open() error {
	if err := s.openServers(); err != nil {
		return err
	}
	for range 6 {
		s.places = append(s.places, &place{site: s})
	}
	for _, network := range []string{"tcp4", "tcp6"} {
		n, err := openNobody(network)
		if err != nil {
			return err
		}
		s.nobody = append(s.nobody, n)
	}
	return nil
}

// close closes the boxes first: they are clients of the servers.
func (s *site) close() error {
	var errs []error
	for _, p := range s.places {
		errs = append(errs, p.close())
	}
	for i := range s.servers { // those that relay come last
		errs = append(errs, s.servers[len(s.servers)-1-i].close())
	}
	for _, n := range s.nobody {
		errs = append(errs, unix.Close(n.fd))
	}
	return errors.Join(errs...)
}

// nobody is an address that stays taken, so that nobody can begin to listen
// there, and refuses every connection.
type nobody struct {
	fd      int
	address string
}

func openNobody(network string) (n nobody, err error) {
	family, addr, host := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), "127.0.0.1"
	if network == "tcp6" {
		family, addr, host = unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}, "::1"
	}
	if n.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return n, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(n.fd, addr); err != nil {
		unix.Close(n.fd)
		return n, os.NewSyscallError("bind", err)
	}
	bound, err := unix.Getsockname(n.fd)
	if err != nil {
		unix.Close(n.fd)
		return n, os.NewSyscallError("getsockname", err)
	}
	port := 0
	switch a := bound.(type) {
	case *unix.SockaddrInet4:
		port = a.Port
	case *unix.SockaddrInet6:
		port = a.Port
	}
	n.address = net.JoinHostPort(host, strconv.Itoa(port))
	return n, nil
}
