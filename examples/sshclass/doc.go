// Package sshclass opens SSH connections that each keep one mark. It uses
// golang.org/x/crypto/ssh and package dscp.
//
// OpenSSH since 10.1 marks a connection as interactive or bulk by its open
// channels, and changes the mark of the established TCP connection when they
// change. A [Client] separates the two classes without changing a mark: it uses two
// connections, one marked for interactive use and one for bulk, and makes each on
// first use.
//
// [Handshake] adds a context to the handshake of x/crypto/ssh, which has none.
//
// The package is an example, and not part of package dscp, because it is specific
// to SSH and needs x/crypto. Without the host key, the configuration and the
// handshake, one connection per class is two Dialers.
package sshclass
