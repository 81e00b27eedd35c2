// Package godscp is documentation only; the code is in the packages below.
//
// godscp marks network connections with a Differentiated Services code point
// (DSCP) safely: before they connect, so that the first packet carries the mark,
// and without ever changing it on a live connection. Programs that mark
// connections after they are up, OpenSSH 7.8 and later among them, lose them on
// networks that reset or silently drop a flow whose mark changes.
//
// The law of the library is: one flow, one mark, from the first packet (RFC 7657,
// section 5.3; RFC 9293, section 3.9.2).
//
//   - [github.com/godscp/godscp/dscp] has the code points, the Dialer, the
//     ListenConfig and the pinned conns. Most programs need nothing else.
//   - [github.com/godscp/godscp/dialer] chains functions that prepare a socket
//     before it connects or listens. It knows nothing of DSCP.
//   - [github.com/godscp/godscp/dscp/dscptest] puts a middlebox that breaks on
//     DSCP between a client and a server in a go test, without root.
//   - examples/vmware shows the failure behind VMware's NAT and each cure:
//     go run ./examples/vmware
//   - examples/proxycommand gives the real ssh, and git and scp with it,
//     connections with one mark; examples/sshclient and examples/sshserver are
//     such a client and server; examples/sshclass is for wrappers of
//     golang.org/x/crypto/ssh.
package godscp
