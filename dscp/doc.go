// Package dscp marks connections with a Differentiated Services code point
// (DSCP, RFC 2474) from their first packet on, and does not let the mark of a live
// connection change.
//
//	d := dscp.Dialer{DSCP: dscp.AF21}
//	conn, err := d.DialContext(ctx, "tcp", "example.com:22")
//
//	lc := dscp.ListenConfig{DSCP: dscp.AF21}
//	l, err := lc.Listen(ctx, "tcp", ":22")
//
// # One flow, one mark, from the first packet
//
// RFC 7657, section 5.3, recommends a single DSCP for all packets of a TCP
// connection, and RFC 9293 (section 3.9.2, SHLD-23) asks applications not to change
// it. Some networks break connections whose DSCP changes. A TCP stack that still
// checks precedence as RFC 793 did resets a connection on which the upper three bits
// of the TOS octet change (RFC 2873); every report on VMware's NAT fits that. Other
// boxes have the DSCP in their flow key and silently drop packets after any change. A
// connection whose mark is on the SYN and never changes survives both. OpenSSH
// changes the mark after login, since 7.8 to one with another precedence. Every program
// that sets IP_TOS on a connection that is up changes its mark, too.
//
// A [Dialer] and a [ListenConfig] mark the socket before it connects or listens.
// The [Conn] and the [UDPConn] that they return refuse to change the mark: in their
// own methods, in those of golang.org/x/net/ipv4 and ipv6, and in functions that run
// through SyscallConn. Three ways bypass them: File, the embedded conn of package net,
// and the control messages that x/net's packages send on a UDPConn. After [Seal] the
// kernel refuses every change of a socket's mark in the whole process, however it is
// made; Seal does not stop control messages.
//
// A server answers the SYN before it has read what a connection is for. The client
// knows, and can choose the mark of both ends: with [ListenConfig.Reflect] the server
// answers each client with the mark of the client's SYN, if the server offers that mark.
//
// UDP allows several marks on one pair of ports (RFC 7657, section 5.1). The default is
// one; [Dialer.Datagrams] names further marks, which single datagrams may carry.
//
// Linux sends some segments without the socket of a connection. These carry the mark
// of the segment that they answer, which is the peer's mark. They are: a reset for a
// connection that is closed already; and, before a connection is up, an
// acknowledgement of a segment outside of the window and a reset for a segment that
// acknowledges data which was never sent. Such a connection may still come up. If the
// two ends use different marks, the network can then see two marks from one end.
//
// A mark is a request. Networks may ignore, change or drop it, and an endpoint
// cannot detect this. [Dialer.Fallback] connects where a marked SYN is dropped;
// examples/pathcheck reports what a path does to marks; package dscptest puts a path
// that mishandles marks into a test.
//
// # Units
//
// A [CodePoint] is a DSCP, 0 to 63. The TOS octet and the Traffic Class octet
// carry it in their upper six bits, with ECN in the lower two: octet 0x48 (72) is
// AF21 (18). OpenSSH's IPQoS option and the IP_TOS socket option take octets; this
// package takes code points everywhere, save in [ParseTOS], [FromTOS], [ParseIPQoS] and
// [CodePoint.TOS].
//
// docs/networks.md describes what each code point is for, and how Wi-Fi and the queue
// of the sending Linux host treat it.
//
// # Systems
//
// If a socket cannot be marked, the dial or the listen fails; the error is an
// [UnsupportedError] where the system is the reason. With AllowUnmarked the socket is
// used unmarked instead.
//
//	system                 IPv4    IPv6         dual-stack wildcard   PeerDSCP
//	Linux, Android         IP_TOS  IPV6_TCLASS  both options          yes
//	macOS, iOS             IP_TOS  IPV6_TCLASS  UnsupportedError      no
//	FreeBSD, NetBSD,
//	OpenBSD, DragonFly     IP_TOS  IPV6_TCLASS  UnsupportedError      no
//	Solaris, illumos, AIX  IP_TOS  IPV6_TCLASS  both, or an error     no
//	Windows                UnsupportedError: the system ignores IP_TOS silently
//	plan9, js, wasip1      UnsupportedError: net gives no access before connect
//
// The marks of received datagrams, see [UDPConn.ReceiveMarks]:
//
//	system                 from IPv4   from IPv6        dual-stack socket
//	Linux, Android         IP_RECVTOS  IPV6_RECVTCLASS  both options
//	macOS, iOS, FreeBSD    IP_RECVTOS  IPV6_RECVTCLASS  UnsupportedError
//	Solaris, illumos       IP_RECVTOS  IPV6_RECVTCLASS  both, or an error
//	NetBSD, OpenBSD,
//	DragonFly, AIX         no          IPV6_RECVTCLASS  UnsupportedError
//	Windows, plan9, js,
//	wasip1                 no          no               no
//
// The marks of single datagrams that are sent, see [Dialer.Datagrams]:
//
//	system                 to IPv4           to IPv6           dual-stack socket
//	Linux, Android         yes               yes               yes
//	macOS, iOS, FreeBSD    yes               yes               UnsupportedError
//	NetBSD, OpenBSD,
//	DragonFly              UnsupportedError  yes               UnsupportedError
//	all others             UnsupportedError  UnsupportedError  UnsupportedError
//
// A kernel may accept the mark in a control message and ignore it, as gVisor does. The
// first socket with Datagrams tests that once, on loopback, and fails with an
// UnsupportedError where the mark is ignored.
//
// Only Linux has been tested, down to the packets. On Windows (Wine), js and wasip1 the
// tests show that a marked dial is an error. The rest of the tables is from the sources
// of the systems and of x/net; that code is built and vetted, not run. A
// dual-stack wildcard is a listener, or an unconnected UDP socket, that accepts peers
// of both families; where one socket cannot mark for both, listen on "tcp4" and
// "tcp6" separately (net sets IPV6_V6ONLY for "tcp6"). On Linux, setting IP_TOS also
// sets the socket's SO_PRIORITY, which can select the band of a qdisc.
//
// Linux needs no privilege for any code point.
//
// # Windows
//
// Since Vista, Windows accepts IP_TOS and ignores it, and it has no IPV6_TCLASS. Only
// its QoS service marks packets, and that needs a connected socket, so it would mark a
// TCP connection after the SYN. Hence the UnsupportedError. A QoS policy marks from
// the SYN on, without any code in the program. An administrator sets it by program or
// by port, in PowerShell; DSCPAction is a code point from 0 to 63, so AF21 is 18:
//
//	New-NetQosPolicy -Name "backup" -AppPathNameMatchCondition "backup.exe" -NetworkProfile All -DSCPAction 10
//	New-NetQosPolicy -Name "ssh" -IPProtocolMatchCondition TCP -IPDstPortMatchCondition 22 -NetworkProfile All -DSCPAction 18
//	Get-NetQosPolicy
//	Remove-NetQosPolicy -Name "ssh"
//
// On a computer outside a domain such policies apply only after these settings and a
// restart. They stop Windows from asking Network Location Awareness (NLA) which kind
// of network it is on:
//
//	New-Item -Force "HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\QoS"
//	Set-ItemProperty "HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\QoS" -Name "Do not use NLA" -Value "1"
//
// The commands are from Microsoft's documentation and were not run for this
// package. A program that runs under such a policy sets AllowUnmarked; Conn.DSCP then
// returns DF, because the policy's mark cannot be read back.
//
// # macOS and iOS
//
// On networks with Cisco Fastlane the system accepts both options and returns them
// when they are read back, but marks packets by the socket's service type
// (SO_NET_SERVICE_TYPE, 0x1116 at SOL_SOCKET) instead. There is no error. A Control
// function in NetDialer can set the service type as well: 1 for background, 4 for
// voice, 8 for responsive data.
package dscp
