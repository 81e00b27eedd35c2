// Package dscpvet finds calls that mark packets with a DSCP wrongly.
//
// A network path may reset, drop or slow down a TCP connection whose mark
// changes after the SYN; RFC 7657, section 5.3, recommends one mark for a
// connection, and RFC 9293 (section 3.9.2, a SHOULD) that it does not change. A mark is
// safe if it is on the socket before connect or listen and never changes. The
// analyzer reports programs that mark in another way, and names the line of
// github.com/godscp/godscp/dscp that does it right.
//
// Run it through go vet:
//
//	go install github.com/godscp/godscp/dscpvet/cmd/dscpvet@latest
//	go vet -vettool=$(which dscpvet) ./...
//
// # Checks that are on
//
//   - late: a mark is set on a connection that Dial or Accept returned.
//   - escape: a mark is set on a connection of package dscp through File or
//     the embedded connection, which are not guarded.
//   - level: IP_TOS or IPV6_TCLASS is set at the wrong protocol level.
//   - unit: a TOS octet is used as a code point, or the other way round.
//   - dropped: the error of a call that sets a mark is ignored.
//   - family: a mark is set for one of IPv4 and IPv6 where both are possible.
//   - mptcp: a listener may stay on Multipath TCP, where Linux refuses
//     IPV6_TCLASS, and no error is returned.
//
// # Checks that are off
//
//   - ecn: a constant octet sets ECN bits.
//   - cmsg: a control message replaces the mark of a datagram.
//   - write: a mark is set for each write.
//   - guess: a method whose name says that it marks is called on an established
//     connection.
//
// Each check is a flag: -dscpvet.late=false switches one off, -dscpvet.ecn
// switches one on, -dscpvet.all switches on all. Test files are checked only with
// -dscpvet.tests.
//
// A comment silences a line, if it gives a reason:
//
//	c.SetTOS(tos) //nolint:dscpvet // measures what the path does to a change
//
// A message starts with the name of its check and a colon. The analyzer looks
// at one package at a time. Functions that mark a parameter, and functions that
// pass their parameters on to setsockopt, are known across packages as facts;
// calls through interfaces are not followed.
package dscpvet
