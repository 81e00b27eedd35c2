package main

import (
	"errors"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/nobody"
)

// A site has what operations need: servers, places for boxes, and addresses without
// a listener.
type site struct {
	payload   *payload
	tally     *tally
	exchanges registry
	servers   []*server
	places    []*place
	nobody    []*nobody.Address
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
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		a, err := nobody.Open(address)
		if err != nil {
			return err
		}
		s.nobody = append(s.nobody, a)
	}
	return nil
}

// close closes the boxes first: they are clients of the servers.
func (s *site) close() error {
	var errs []error
	for _, p := range s.places {
		errs = append(errs, p.close())
	}
	for i := range s.servers { // relays, which are opened last, close first
		errs = append(errs, s.servers[len(s.servers)-1-i].close())
	}
	for _, a := range s.nobody {
		errs = append(errs, a.Close())
	}
	return errors.Join(errs...)
}
