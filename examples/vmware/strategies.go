package main

import (
	"context"
	"net"
	"slices"

	"github.com/godscp/godscp/dscp"
)

// A strategy is one way to mark a connection.
type strategy struct {
	name   string
	expect outcome // behind VMware's NAT
	syn    mark    // expected on the SYN; unknown: no expectation
	web    bool    // the client talks to the HTTP server, not to the SSH server
	skip   string  // why the strategy cannot be tried here; empty if it can
	run    func(context.Context, place) result

	// serve starts the SSH server, if the server and not the client is behind the box;
	// else nil.
	serve func(context.Context, *lab) (server, error)

	// observed: the marks depend on the machine. So the strategy also runs without a
	// model, and its marks there decide what to expect.
	observed bool
}

// A server is the SSH server of a strategy.
type server interface {
	Addr() string
	Logins() int // number of clients that have logged in so far
	Close() error
}

// strategies is the list of wrong and right ways, in the order of the table. Two
// questions decide about each: is the mark set before connect, and does it change
// later?
func strategies(ctx context.Context, ssh *openSSH) []strategy {
	return slices.Concat(scripts(), habits(), ssh.strategies(), dialers(execSSH), servers(), ssh.servers(), ssh.pinned(ctx), sealed())
}

// targetStrategies are the strategies that need only an HTTP server.
func targetStrategies() []strategy {
	return slices.Concat(scripts(), dialers(getHTTP))
}

// scripts are the two scripts of the published reports. They differ only in the moment
// at which they set the mark.
func scripts() []strategy {
	return []strategy{
		{
			name: "script 1: 0x48 before connect", expect: works, syn: known(dscp.AF21), web: true,
			run: client{dial: marked(dscp.AF21), work: getHTTP}.run,
		},
		{
			name: "script 2: 0x48 after connect", expect: broken, web: true,
			run: client{dial: plain, change: remark(dscp.AF21), at: connected, work: getHTTP}.run,
		},
	}
}

// habits are the ways of existing programs.
func habits() []strategy {
	return []strategy{
		// Most Go programs: the SYN has left before x/net gets the connection.
		{
			name: "Go: dial, then x/net SetTOS(0x48)", expect: broken,
			run: client{dial: plain, change: remark(dscp.AF21), at: connected, work: execSSH}.run,
		},

		// OpenSSH 7.8 to 8.4 marks once, when the session starts: AF21 with a
		// terminal, CS1 without. Both have an IP precedence other than 0, that of
		// the SYN.
		{
			name: "OpenSSH 7.8: AF21 after login (tty)", expect: broken,
			run: client{dial: plain, change: remark(dscp.AF21), at: loggedIn, work: shellSSH}.run,
		},
		{
			name: "OpenSSH 7.8: CS1 after login (exec)", expect: broken,
			run: client{dial: plain, change: remark(dscp.CS1), at: loggedIn, work: execSSH}.run,
		},

		// OpenSSH up to 7.7 does the same with values of RFC 1349, whose IP
		// precedence is 0, as that of the SYN. A box that compares whole marks
		// would still break the flow.
		{
			name: "OpenSSH 7.7: lowdelay after login (tty)", expect: works,
			run: client{dial: plain, change: remark(dscp.LowDelay), at: loggedIn, work: shellSSH}.run,
		},
		{
			name: "OpenSSH 7.7: throughput after login (exec)", expect: works,
			run: client{dial: plain, change: remark(dscp.Throughput), at: loggedIn, work: execSSH}.run,
		},

		// OpenSSH since 10.1, and earlier versions with its patches, sets EF on the
		// SYN, and 0 while a channel without a terminal is open.
		{
			name: "OpenSSH 10.1: EF, 0 for a bulk channel", expect: broken,
			run: client{dial: marked(dscp.EF), change: remark(dscp.DF), at: loggedIn, work: execSSH}.run,
		},
	}
}

// servers are the ways of a server in the guest: the inside side must not change its
// mark. A server that marks a connection after accept is too late, since the SYN-ACK
// had the mark of the listener.
func servers() []strategy {
	return []strategy{
		{
			name: "server: AF21 after accept", expect: broken,
			serve: guest{listen: plainListener, accepted: remark(dscp.AF21)}.serve,
			run:   client{dial: plain, work: execSSH}.run,
		},
		{
			name: "server: dscp.ListenConfig{DSCP: AF21}", expect: works,
			serve: guest{listen: (&dscp.ListenConfig{DSCP: dscp.AF21}).Listen}.serve,
			run:   client{dial: plain, work: execSSH}.run,
		},
	}
}

// dialers are the ways of package dscp. A Dialer sets the mark before connect, and its
// Conn refuses any other mark, also from code that does not use package dscp.
func dialers(work work) []strategy {
	return []strategy{
		{
			name: "dscp.Dialer{DSCP: AF21}", expect: works, syn: known(dscp.AF21),
			run: client{dial: (&dscp.Dialer{DSCP: dscp.AF21}).DialContext, work: work}.run,
		},
		{
			name: "dscp.Dialer{DSCP: CS1}", expect: works, syn: known(dscp.CS1),
			run: client{dial: (&dscp.Dialer{DSCP: dscp.CS1}).DialContext, work: work}.run,
		},
		{
			name: "dscp.Dialer{DSCP: AF21, NATSafe: true}", expect: works, syn: known(dscp.LowDelay),
			run: client{dial: (&dscp.Dialer{DSCP: dscp.AF21, NATSafe: true}).DialContext, work: work}.run,
		},
		{
			name: "dscp.Dialer, later conn.SetDSCP(CS1)", expect: refused, syn: known(dscp.AF21),
			run: client{
				dial:   (&dscp.Dialer{DSCP: dscp.AF21}).DialContext,
				change: setDSCP(dscp.CS1), at: midway, work: work,
			}.run,
		},
		{
			name: "dscp.Dialer, later x/net SetTOS(0x20)", expect: refused, syn: known(dscp.AF21),
			run: client{
				dial:   (&dscp.Dialer{DSCP: dscp.AF21}).DialContext,
				change: remark(dscp.CS1), at: midway, work: work,
			}.run,
		},
	}
}

// A guest is a server behind the box.
type guest struct {
	listen   listenFunc
	accepted func(net.Conn) error // called for each accepted connection, if not nil
}

func (g guest) serve(ctx context.Context, l *lab) (server, error) { return l.serve(ctx, g) }

// plain dials without a mark.
func plain(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// marked dials with the mark set before connect. The connection is not pinned.
func marked(cp dscp.CodePoint) dialFunc {
	return (&net.Dialer{Control: dscp.Control(cp)}).DialContext
}

func plainListener(ctx context.Context, network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, network, address)
}
