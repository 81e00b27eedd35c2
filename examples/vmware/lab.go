package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/godscp/godscp/dscp/dscptest"
)

// patience is how long one strategy may take. On loopback all of them are done
// in milliseconds; over a -target's network a lost segment wants its
// retransmissions.
const patience = 10 * time.Second

// A lab is the servers, and the kind of box that stands before them.
type lab struct {
	network string // tcp4 or tcp6
	models  []dscptest.Model
	keys    *keyring
	web     *webServer
	sshd    *sshServer
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

// loopback is the address that everything runs on.
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

// sensor asks a box how it learns of marks. The error tells where no box runs.
func (l *lab) sensor() (dscptest.Sensor, error) {
	box, err := dscptest.Config{Upstream: l.sshd.Addr(), Models: l.models}.Start()
	if err != nil {
		return "", err
	}
	return box.Sensor(), box.Close()
}

// try runs one strategy through a box of its own and tells what both the box
// and the program saw. Its error is one of the lab, not of the strategy.
func (l *lab) try(ctx context.Context, s strategy) (row, error) {
	r := row{strategy: s.name, expected: s.expect, carries: s.syn}
	if len(l.models) == 0 && s.expect == broken {
		r.expected = works // nothing is in the way
	}
	if s.skip != "" {
		r.outcome, r.program = skipped, s.skip
		return r, nil
	}

	inside, sshd := dscptest.Client, l.sshd
	if s.server != nil {
		own, err := l.serve(ctx, *s.server)
		if err != nil {
			return r, err
		}
		defer own.Close()
		inside, sshd = dscptest.Server, own
	}
	upstream := sshd.Addr()
	if s.web {
		upstream = l.web.Addr()
	}
	box, err := dscptest.Config{Upstream: upstream, Models: l.models, Inside: inside}.Start()
	if err != nil {
		return r, err
	}
	defer box.Close()

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	saw := s.run(ctx, place{network: l.network, addr: box.Addr(), host: box.Addr(), keys: l.keys, logins: sshd.Logins})
	if err := box.Close(); err != nil {
		return r, fmt.Errorf("closing the box: %w", err)
	}
	r.outcome, r.program = saw.outcome, saw.said
	if flows := box.Flows(); len(flows) > 0 {
		r.record(flows[0], inside)
	}
	return r, nil
}

// chooseNetwork returns the network to use: IPv6, unless IPv4 is wanted or IPv6
// has no loopback address here, which why then tells.
func chooseNetwork(ctx context.Context, ipv4 bool) (network, why string) {
	if ipv4 {
		return "tcp4", ""
	}
	l, err := plainListener(ctx, "tcp6", "[::1]:0")
	if err != nil {
		return "tcp4", fmt.Sprintf("no IPv6 loopback here (%s), using IPv4", words(err))
	}
	l.Close()
	return "tcp6", ""
}
