// Command pathcheck says what a network path does to marked connections:
//
//	go run ./examples/pathcheck example.com
//	go run ./examples/pathcheck -dscp ef -n 5 example.com:443 [2001:db8::1]:22 https://[fe80::1%eth0]
//	go run ./examples/pathcheck -targets hosts.txt
//
// It makes trial connections, each with one way to mark: not at all, with the
// DSCP from the first packet on, with the values that are safe for NATs, with
// marks that are known to be treated badly (EF, LE, CS1), and with a change in
// the middle of the flow, after real bytes have gone both ways. What is said on
// them fits the port: the key exchange of SSH (no login), a GET of HTTP or HTTPS,
// or nothing but a look whether the connection lives. A target can say which,
// ssh://host:port. Unmarked connections in between tell a dead server from a
// path that breaks on marks.
//
// That makes some forty connections, one after the other, more if some fail. A
// server that counts those who do not log in (OpenSSH since 9.8, see
// PerSourcePenalties) may refuse this machine for a while; pathcheck then says
// that the far end went away.
//
// From the trials it says in words what the path does, how sure that is, and
// what helps: a line for ssh_config and a dscp.Dialer. Each is tried on the path
// first: the Dialer as it is printed, and for the line a connection for each way
// in which versions of OpenSSH mark with it. What does not get through is not
// advised.
//
// The exit status is 0 if no harm was seen, 1 if harm was found, 2 if it could
// not tell, could not write its report, or was called wrongly.
//
// # Many machines
//
// With -json it prints one JSON object for each trial and one for each target,
// a line each, with the name of the machine: what many machines print can be
// put into one file.
//
// # The far end
//
// With -serve on a machine of yours and -peer on the other, the server tells
// which marks arrive, so that bleaching and remarking are found too, with the
// names of RFC 9435, section 4:
//
//	pathcheck -serve :7777
//	pathcheck -peer server.example.com:7777
//
// The server (on Linux) reads the mark off the SYN. So that a path is found out
// which changes the mark within a flow, it also reads those of later segments: on
// IPv6 of the latest one each time it is asked, on IPv4 of the one that completes
// the handshake, and of every one if it may open a raw socket (CAP_NET_RAW).
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
