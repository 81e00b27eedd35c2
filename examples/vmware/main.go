// Command vmware shows, on real sockets, that VMware's NAT breaks a TCP connection
// whose DSCP changes, and which ways to mark a connection survive:
//
//	go run ./examples/vmware
//
// It starts an SSH server and an HTTP server on loopback, with a box in front of
// them, and runs a list of strategies, each on a new connection through the box:
// the two scripts of the published reports, the way of most Go programs, the ways
// of three generations of OpenSSH, the ssh and sshd of this machine, package dscp,
// the second script, ssh and sshd under pinexec, and a process that seals itself.
// The list is in strategies.go.
//
// The box checks IP precedence, the top three bits of the mark, as RFC 793
// required, and resets the connection when it changes (RFC 2873 describes the
// conflict). OpenSSH's ssh since 7.8 changes it after login, and since 10.1 whenever
// a channel without a terminal opens or closes; its users see "Broken pipe". Its
// sshd since 10.1 changes it before login; the users see
// "kex_exchange_identification: read: Connection reset by peer". A connection
// survives if the SYN has the mark and the mark never changes. Each row has all
// marks of its flow in order: 0x10→0x08→0x10.
//
// The version of ssh or sshd does not determine its marks, since distributions
// patch them. So the program runs each strategy of this machine's ssh and sshd
// twice, first through a box without a rule. The row is as expected if the second
// box applies its rule to the marks of the first run.
//
// The box is a model (dscptest.VMware), fitted to published reports. It is not
// VMware, nobody has compared the two, and newer versions of VMware may be fixed. In
// a VMware guest you can test the real NAT:
//
//	go run ./examples/vmware -target host:port
//
// runs the strategies that need only an HTTP server, at host:port outside.
//
// With -svg it draws each flow at the box, and with -pcap it writes each flow for
// Wireshark.
//
// The exit status is 0 if every row is as expected, 1 if not or if the program
// failed, 2 for wrong flags, and 130 after an interrupt.
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
