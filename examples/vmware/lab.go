package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp/dscptest"
)

// patience is how long one strategy may take. On loopback it takes milliseconds; over
// the network of a -target, lost segments must be retransmitted.
const patience = 10 * time.Second

// A lab has the servers and the models of the box in front of them.
type lab struct {
	network string // tcp4 or tcp6
	models  []dscptest.Model
	keys    *keyring
	web     *webServer
	sshd    *sshServer
	free    map[string]*observation // runs without a model, by the name of the strategy
}

// newLab starts the servers on the loopback address of network.
func newLab(ctx context.Context, network string, models []dscptest.Model) (*lab, error) {
	keys, err := newKeyring()
	if err != nil {
		return nil, err
	}
	l := &lab{network: network, models: models, keys: keys}
	listener, err := l.listen(ctx, plainListener)
	if err != nil {
		return nil, err
	}
	l.web = serveHTTP(listener)
	if l.sshd, err = l.serve(ctx, guest{listen: plainListener}); err != nil {
		l.web.Close()
		return nil, err
	}
	return l, nil
}

func (l *lab) Close() error {
	return errors.Join(l.web.Close(), l.sshd.Close())
}

// loopback returns the address of the servers and boxes.
func (l *lab) loopback() string {
	if l.network == "tcp4" {
		return "127.0.0.1"
	}
	return "::1"
}

func (l *lab) listen(ctx context.Context, listen listenFunc) (net.Listener, error) {
	return listen(ctx, l.network, net.JoinHostPort(l.loopback(), "0"))
}

func (l *lab) serve(ctx context.Context, g guest) (*sshServer, error) {
	listener, err := l.listen(ctx, g.listen)
	if err != nil {
		return nil, err
	}
	s, err := serveSSH(listener, l.keys, g.accepted)
	if err != nil {
		listener.Close()
		return nil, err
	}
	return s, nil
}

// sensor returns the sensor by which a box reads marks. It fails if no box can run here.
func (l *lab) sensor() (dscptest.Sensor, error) {
	box, err := dscptest.Config{Upstream: l.sshd.Addr(), Models: l.models}.Start()
	if err != nil {
		return "", err
	}
	return box.Sensor(), box.Close()
}

// observe starts to run the observed strategies of list through a box without a model.
// Their marks there decide what to expect of the box with its model. Several run
// concurrently, since they mostly wait for other programs, and concurrently with try.
// stop ends them.
func (l *lab) observe(ctx context.Context, list []strategy) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	places := make(chan struct{}, 4)
	l.free = make(map[string]*observation)
	for _, s := range list {
		if !s.observed || s.skip != "" || len(l.models) == 0 { // without a model, try makes the same run
			continue
		}
		o := &observation{done: make(chan struct{})}
		l.free[s.name] = o
		all.Go(func() {
			defer close(o.done)
			places <- struct{}{}
			defer func() { <-places }()
			o.row, o.err = l.through(ctx, s, nil)
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// An observation is the result of a strategy without a model.
type observation struct {
	done chan struct{} // closed when the other fields are set
	row  row
	err  error
}

// expect sets the expectations of a strategy from its observation.
func (o *observation) expect(ctx context.Context, s *strategy) error {
	select {
	case <-o.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if o.err != nil {
		return o.err
	}
	if s.skip = o.row.useless(); s.skip != "" {
		return nil
	}
	s.syn = known(o.row.marks[0])
	if o.row.marks.fatal() >= 0 {
		s.expect = broken
	}
	return nil
}

// try runs one strategy through a new box and returns its row. An error is about the
// lab, not about the strategy.
func (l *lab) try(ctx context.Context, s strategy) (row, error) {
	if o := l.free[s.name]; o != nil {
		if err := o.expect(ctx, &s); err != nil {
			return row{}, err
		}
	}
	r := row{strategy: s.name, expected: s.expect, carries: s.syn}
	if len(l.models) == 0 && s.expect == broken {
		r.expected = works
	}
	if s.skip != "" {
		r.outcome, r.program = skipped, s.skip
		return r, nil
	}
	saw, err := l.through(ctx, s, l.models)
	saw.strategy, saw.expected, saw.carries = r.strategy, r.expected, r.carries
	return saw, err
}

// through runs a strategy through a box with these models.
func (l *lab) through(ctx context.Context, s strategy, models []dscptest.Model) (row, error) {
	var r row
	inside, sshd := dscptest.Client, server(l.sshd)
	start := s.serve
	switch {
	case start != nil:
		inside = dscptest.Server
	case s.observed: // runs concurrently with others: needs a server that counts only its logins
		start = guest{listen: plainListener}.serve
	}
	if start != nil {
		own, err := start(ctx, l)
		if skip, ok := errors.AsType[*skipError](err); ok {
			r.outcome, r.program = skipped, skip.Error()
			return r, nil
		}
		if err != nil {
			return r, err
		}
		defer own.Close()
		sshd = own
	}
	upstream := sshd.Addr()
	if s.web {
		upstream = l.web.Addr()
	}
	box, err := dscptest.Config{Upstream: upstream, Models: models, Inside: inside}.Start()
	if err != nil {
		return r, err
	}
	defer box.Close()

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := place{
		network: l.network, addr: box.Addr(), host: box.Addr(), keys: l.keys, logins: sshd.Logins,
		user: l.keys.user, command: floodCommand,
	}
	if own, ok := sshd.(*openSSHD); ok {
		p.user, p.command = own.user, shellFlood
	}
	saw := s.run(ctx, p)
	if err := box.Close(); err != nil {
		return r, fmt.Errorf("closing the box: %w", err)
	}
	r.outcome, r.program = saw.outcome, saw.said
	if flows := box.Flows(); len(flows) > 0 {
		r.record(flows[0], inside)
	}
	return r, nil
}

// A skipError is the reason why a strategy cannot be tried on this machine.
type skipError struct{ reason string }

func (e *skipError) Error() string { return e.reason }

// chooseNetwork returns tcp6, or tcp4 if ipv4 is set or IPv6 has no loopback address
// here; why then has the reason.
func chooseNetwork(ctx context.Context, ipv4 bool) (network, why string) {
	if ipv4 {
		return "tcp4", ""
	}
	l, err := plainListener(ctx, "tcp6", "[::1]:0")
	if err != nil {
		return "tcp4", fmt.Sprintf("using IPv4, since there is no IPv6 loopback address here: %s", words(err))
	}
	l.Close()
	return "tcp6", ""
}
