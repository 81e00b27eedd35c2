// Package godscp is documentation only; the code is in the packages below.
//
// godscp marks network connections with a Differentiated Services code point
// (DSCP) safely. It sets the mark before a socket connects or listens, so the first
// packet carries it, and it never changes the mark of a live connection. A program
// that sets the mark of a connection that is up, as OpenSSH does, loses that
// connection on networks that reset or silently drop a flow whose mark changes.
//
// The rule of the module is: one flow, one mark, from the first packet (RFC 7657,
// section 5.3; RFC 9293, section 3.9.2).
//
//   - [github.com/godscp/godscp/dscp] has the code points, the Dialer, the
//     ListenConfig and the pinned conns. Most programs need nothing else. On Linux its
//     Seal has the kernel refuse changes of the mark.
//   - [github.com/godscp/godscp/dialer] chains functions that prepare a socket
//     before it connects or listens. It does not deal with DSCP.
//   - [github.com/godscp/godscp/dscp/dscptest] puts a middlebox that mishandles
//     DSCP between a client and a server in a Go test, without root;
//     [github.com/godscp/godscp/dscp/dscptest/trace] shows what the middlebox saw.
//   - dscpvet, a module of its own, is a tool for go vet that finds calls that mark
//     wrongly.
//   - examples/vmware shows the failure behind VMware's NAT and each cure:
//     go run ./examples/vmware
//   - examples/pathcheck reports what the path to a server does to marks.
//   - examples/pinexec runs another program, in any language, whose sockets all
//     keep one mark (Linux).
//   - examples/proxycommand gives ssh, and so git and scp, connections with one
//     mark; examples/sshclient and examples/sshserver are an SSH
//     client and server; examples/sshclass is for programs that use
//     golang.org/x/crypto/ssh.
package godscp
