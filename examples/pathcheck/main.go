// Command pathcheck tests what a network path does to marked connections:
//
//	go run ./examples/pathcheck example.com
//	go run ./examples/pathcheck -dscp ef -n 5 example.com:443 [2001:db8::1]:22 https://[fe80::1%eth0]
//	go run ./examples/pathcheck -targets hosts.txt
//
// It makes trial connections to each target, with these ways to mark: no mark, the
// DSCP from the first packet on, marks with IP precedence 0, marks that some networks
// treat badly (EF, LE, CS1), and a change of the mark in the middle of the flow, after
// both sides have sent data. On each connection it does the key exchange of SSH
// (without a login), a GET of HTTP or HTTPS, or, for an unknown protocol, only waits
// whether the connection stays open. The port decides about the protocol, or a scheme
// in the target, as in ssh://host:port. Unmarked connections in between show whether
// the server fails or the path breaks on marks.
//
// This takes about forty connections, one after the other, and more if some fail. A
// server that penalises clients that do not log in (OpenSSH since 9.8, see
// PerSourcePenalties) may refuse this machine for a while; pathcheck then reports that
// the server stopped answering.
//
// The report says what the path does, how likely chance is as the reason, and which
// settings work: a line for ssh_config and a dscp.Dialer. Pathcheck tries each on the
// path before it prints it: the Dialer itself, and for the ssh_config line one
// connection for each way in which versions of OpenSSH mark with that line.
//
// The exit status is 0 if no target has harm, 1 if harm was found, 2 if pathcheck
// could not tell or failed, or for wrong arguments.
//
// # Many machines
//
// With -json pathcheck prints one JSON object per line for each trial and each target,
// with the name of the machine, so that one file can have the output of many machines.
//
// # Arriving marks
//
// With -serve on another machine and -peer on this one, the server reports which marks
// arrive. So pathcheck also finds bleaching and re-marking, and names them as RFC 9435,
// section 4, does:
//
//	pathcheck -serve :7777
//	pathcheck -peer server.example.com:7777
//
// The server, on Linux, reads the mark of the SYN. To find a path that changes the mark
// within a flow, it also reads the marks of later segments: on IPv6 that of the latest
// segment at each question, on IPv4 that of the segment that completes the handshake,
// or those of all segments if it may open a raw socket (CAP_NET_RAW).
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // the second interrupt kills
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
