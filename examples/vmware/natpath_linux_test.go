package main

import (
	"context"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/natlab"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// natPatience is how long one session may take on a busy machine.
const natPatience = 90 * time.Second

// natSSH returns the ssh of this machine after one login on a direct path. It skips the
// test if ssh cannot log in there.
func natSSH(t *testing.T, keys *keyring) *openSSH {
	t.Helper()
	o := findOpenSSH(t.Context(), keys)
	t.Cleanup(func() { assert.NoError(t, o.Close()) })
	if o.missing != "" {
		testns.Lacks(t, "no ssh: %s", o.missing)
	}
	t.Log(o.name())
	sshd := natServer(t, keys, netip.MustParseAddr("127.0.0.1"))
	r := natRun(t, session{ssh: o, ipqos: "0 0"}, keys, sshd, sshd.Addr())
	if r.outcome == skipped {
		testns.Lacks(t, "ssh cannot be used here: %s", r.said)
	}
	require.Equal(t, works, r.outcome, r.said)
	return o
}

// throughKernel runs s from the inside host to a server outside.
func throughKernel(t *testing.T, s session, keys *keyring, lab *natlab.Lab, six bool) sighting {
	t.Helper()
	listen, dial := lab.Server(six, false)
	var sshd *sshServer
	lab.Outside.Do(func() { sshd = natServer(t, keys, listen) })
	port := netip.MustParseAddrPort(sshd.Addr()).Port()
	var near, far *wire.Capture
	lab.Router.Do(func() {
		near, far = wire.Start(t, natlab.InsideCable, port), wire.Start(t, natlab.OutsideCable, port)
	})
	var r result
	lab.Inside.Do(func() { r = natRun(t, s, keys, sshd, netip.AddrPortFrom(dial, port).String()) })

	sent, passed := near.Stop(), far.Stop()
	saw := sighting{outcome: natOutcome(r), marks: marksTo(port, sent)}
	if !slices.Equal(saw.marks, marksTo(port, passed)) {
		// The rules dropped or rejected segments.
		saw.verdict = dscptest.Blackhole
		if slices.ContainsFunc(sent, func(p wire.Packet) bool { return p.Src.Port() == port && p.Has(wire.RST) }) {
			saw.verdict = dscptest.Reset
		}
	}
	t.Logf("%s, marks %v, the box: %v", r.said, saw.marks, saw.verdict)
	return saw
}

// throughRelay runs s through a relay in front of a server on loopback.
func throughRelay(t *testing.T, s session, keys *keyring, models []dscptest.Model, six bool) sighting {
	t.Helper()
	loopback := netip.MustParseAddr("127.0.0.1")
	if six {
		loopback = netip.IPv6Loopback()
	}
	sshd := natServer(t, keys, loopback)
	relay, err := dscptest.Config{
		Upstream: sshd.Addr(), Models: models, Inside: dscptest.Client,
	}.Start()
	require.NoError(t, err)
	defer relay.Close() //nolint:errcheck // checked below
	r := natRun(t, s, keys, sshd, relay.Addr())
	require.NoError(t, relay.Close())

	flows := relay.Flows()
	require.Len(t, flows, 1, r.said)
	saw := sighting{outcome: natOutcome(r), verdict: flows[0].Verdict, marks: marksOf(flows[0], dscptest.Client)}
	t.Logf("%s, marks %v, the box: %v", r.said, saw.marks, saw.verdict)
	return saw
}

// natServer starts a server for one row, so that the port identifies the row.
func natServer(t *testing.T, keys *keyring, address netip.Addr) *sshServer {
	t.Helper()
	l, err := plainListener(t.Context(), "tcp", net.JoinHostPort(address.String(), "0"))
	require.NoError(t, err)
	sshd, err := serveSSH(l, keys, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sshd.Close()) })
	return sshd
}

func natRun(t *testing.T, s session, keys *keyring, sshd *sshServer, addr string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), natPatience)
	defer cancel()
	return s.run(ctx, place{addr: addr, keys: keys, logins: sshd.Logins, user: keys.user, command: floodCommand})
}

var (
	saysLost   = regexp.MustCompile(`Broken pipe|Connection reset|closed by remote host`)
	saysSilent = regexp.MustCompile(`Timeout, server .* not responding`)
)

// natOutcome finds out from ssh's message how a session broke. If it is another message,
// it returns that in full, which equals none of the expected outcomes.
func natOutcome(r result) outcome {
	switch {
	case r.outcome == broken && saysSilent.MatchString(r.said):
		return silent
	case r.outcome == broken && saysLost.MatchString(r.said):
		return lost
	case r.outcome != works:
		return outcome(string(r.outcome) + ": " + r.said)
	}
	return works
}

// marksTo returns the marks of the segments to port, each one that differs from
// the one before.
func marksTo(port uint16, packets []wire.Packet) marks {
	var m marks
	for _, p := range packets {
		if p.Dst.Port() == port && !p.Ownerless() {
			m = append(m, dscp.CodePoint(p.DSCP()))
		}
	}
	return slices.Compact(m)
}
