// Package sshclass opens SSH connections with one mark each, on
// golang.org/x/crypto/ssh and package dscp.
//
// OpenSSH since 10.1 marks a connection as interactive or bulk by the channels
// that are open on it at the moment, and changes the mark of the live TCP
// connection whenever that changes. A [Client] reaches the same goal without it:
// it opens its channels on two connections, one marked for interactive use and
// one for bulk, each made when it is first needed.
//
// [Handshake] is the part that every wrapper of x/crypto/ssh needs: that package
// knows no contexts.
//
// The package lives beside the examples, and not in package dscp, because what it
// adds is about SSH alone: the host key, the configuration, the handshake. Without
// those, one connection per class is two Dialers. So dscp stays free of
// x/crypto, and programs that want this type import it from here.
package sshclass
