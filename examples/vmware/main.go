// Command vmware shows what VMware's NAT does to a TCP connection whose DSCP
// changes, on real sockets, and which ways of marking a connection it lets
// live:
//
//	go run ./examples/vmware
//
// It starts an SSH server and an HTTP server on loopback, puts a box before
// them, and runs one strategy after the other through it, each on a fresh
// connection: the two scripts that were published with the reports, what most
// Go programs do, what three generations of OpenSSH do, the ssh command and the
// sshd of this machine, package dscp, pinexec, under which the second script, ssh
// and sshd live, and a process that seals itself. The list is in strategies.go, which is meant to be read.
//
// What there is to see: a box that still checks IP precedence, the top three
// bits of the mark, as RFC 793 asked resets the connection when they change
// (RFC 2873 describes the conflict). OpenSSH's ssh since 7.8 changes them after
// login, since 10.1 at every open and close of a channel without a terminal; its
// users know the result as "Broken pipe". Its sshd since 10.1 changes them before
// login: "kex_exchange_identification: read: Connection reset by peer". A mark that
// is on the SYN already and never changes lives. Each row shows all marks of its
// flow in their order: 0x10→0x08→0x10.
//
// The version of an ssh or sshd does not tell what it does with marks, since
// distributions patch that. So each row of this machine's own is run with nothing
// in the way first, and it is as expected if the box then does what its rule says
// of the marks that were seen.
//
// The box is a model (dscptest.VMware), fitted to published reports. It is not
// VMware, nobody has compared the two, and newer versions of VMware may be
// fixed. Who sits in a guest can look at the real thing:
//
//	go run ./examples/vmware -target host:port
//
// runs the strategies that need nothing but an HTTP server somewhere outside.
//
// With -svg and -pcap each flow is drawn, and written for Wireshark, as the box
// saw it.
//
// The exit status is 0 if every row came out as expected, 1 if not or if the
// program could not do its work, 2 for bad flags, and 130 after an interrupt.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/godscp/godscp/examples/internal/pinexec"
)

func main() {
	pinexec.Init()
	beSealed()
	ctx, stop := signal.NotifyContext(context.Background(), interrupts...)
	context.AfterFunc(ctx, stop) // the second interrupt kills
	surviveBrokenPipe()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
