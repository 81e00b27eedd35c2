// Package dscp marks connections with a Differentiated Services code point
// (DSCP, RFC 2474) from their first packet on, and keeps the mark from changing
// while they live.
//
//	d := dscp.Dialer{DSCP: dscp.AF21}
//	conn, err := d.DialContext(ctx, "tcp", "example.com:22")
//
//	lc := dscp.ListenConfig{DSCP: dscp.AF21}
//	l, err := lc.Listen(ctx, "tcp", ":22")
//
// # One flow, one mark, from the first packet
//
// RFC 7657, section 5.3, wants a single DSCP for all packets of a TCP
// connection, and RFC 9293 (SHLD-23) asks applications not to change it. Some
// networks enforce it in their own way. A TCP stack that still checks precedence
// as RFC 793 did resets a connection on which the upper three bits of the TOS
// octet change (RFC 2873); every report on VMware's NAT fits that. Other boxes
// have the DSCP in their flow key and go silent on any change. A mark that is on
// the SYN and never changes survives both. OpenSSH since 7.8, and every program
// that sets IP_TOS on a connection that is already up, does not.
//
// A [Dialer] and a [ListenConfig] mark the socket before it connects or listens.
// The [Conn] and the [UDPConn] that they return refuse to change the mark:
// through themselves, through golang.org/x/net/ipv4 and ipv6, and through
// SyscallConn. File and the embedded conn of package net are ways out, and so are
// the control messages that x/net's packages send on a UDPConn. [Seal] has the
// kernel refuse every change of a mark in the whole process, by those ways as well;
// control messages it does not see.
//
// A server answers the SYN before it knows what a connection is for. The client knows,
// and says so with the mark of its SYN: with [ListenConfig.Reflect] the server answers
// each client in the class that it asks for, among those that the server offers.
//
// UDP allows several marks on one pair of ports (RFC 7657, section 5.1). The default is
// one; [Dialer.Datagrams] names others, which single datagrams may carry.
//
// Linux sends some segments without the socket of a connection. They carry the mark
// of the segment that they answer, which is the peer's: a reset for a connection
// that is closed already; and before a connection is up, an acknowledgement of a
// segment outside of the window, and a reset for one that acknowledges what was
// never sent. Such a connection may still come up. Whoever answers a peer in
// another mark than the peer's can show two marks to the network then.
//
// A mark is a request. Networks may ignore, change or drop it, and a connection
// cannot tell. [Dialer.Fallback] gets through where a marked SYN is dropped;
// examples/pathcheck says what a path does; package dscptest can put a path that
// breaks into a test.
//
// # Units
//
// A [CodePoint] is a DSCP, 0 to 63. The TOS octet and the Traffic Class octet
// carry it in their upper six bits, with ECN in the lower two: octet 0x48 is
// AF21, 18. OpenSSH's IPQoS and the IP_TOS socket option speak of octets, this
// package of code points everywhere.
//
// What a code point means for a kind of traffic, on Wi-Fi and in the queue of the
// sending Linux host is in docs/networks.md.
//
// # Systems
//
// A socket that cannot be marked is an error, an [UnsupportedError] where the
// system is the reason. AllowUnmarked turns that off.
//
//	system                 IPv4    IPv6         dual-stack wildcard   PeerDSCP
//	Linux, Android         IP_TOS  IPV6_TCLASS  both options          yes
//	macOS, iOS             IP_TOS  IPV6_TCLASS  UnsupportedError      no
//	FreeBSD, NetBSD,
//	OpenBSD, DragonFly     IP_TOS  IPV6_TCLASS  UnsupportedError      no
//	Solaris, illumos, AIX  IP_TOS  IPV6_TCLASS  as the kernel says    no
//	Windows                UnsupportedError: the system ignores IP_TOS silently
//	plan9, js, wasip1      UnsupportedError: net gives no access before connect
//
// The marks of received datagrams, see [UDPConn.ReceiveMarks]:
//
//	system                 from IPv4   from IPv6        dual-stack socket
//	Linux, Android         IP_RECVTOS  IPV6_RECVTCLASS  both options
//	macOS, iOS, FreeBSD    IP_RECVTOS  IPV6_RECVTCLASS  UnsupportedError
//	Solaris, illumos       IP_RECVTOS  IPV6_RECVTCLASS  as the kernel says
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
// Only Linux has been tried, down to the packets; the rest is from the sources of
// the systems and of x/net, and is type-checked, built and vetted. A dual-stack
// wildcard is a listener, or an unconnected UDP socket, that takes peers of both
// families; where one socket cannot mark for both, use "tcp4" and "tcp6" (with
// IPV6_V6ONLY, which net sets for those) separately. On Linux IP_TOS sets the
// socket's SO_PRIORITY too, which can select the band of a qdisc.
//
// Linux needs no privilege for any code point.
//
// # Windows
//
// Since Vista, Windows takes IP_TOS and ignores it, has no IPV6_TCLASS, and lets
// only its own QoS service mark, which wants a connected socket and so would mark
// a TCP connection after its SYN. Hence the UnsupportedError. What does mark there
// from the SYN on, for every program and without code, is a policy. An
// administrator sets it by program or by port, in PowerShell; DSCPAction is a
// code point from 0 to 63, 18 for AF21:
//
//	New-NetQosPolicy -Name "backup" -AppPathNameMatchCondition "backup.exe" -NetworkProfile All -DSCPAction 10
//	New-NetQosPolicy -Name "ssh" -IPProtocolMatchCondition TCP -IPDstPortMatchCondition 22 -NetworkProfile All -DSCPAction 18
//	Get-NetQosPolicy
//	Remove-NetQosPolicy -Name "ssh"
//
// On a computer outside a domain such policies apply only once Windows is told not
// to ask for the kind of network, and has been restarted:
//
//	New-Item -Force "HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\QoS"
//	Set-ItemProperty "HKLM:\SYSTEM\CurrentControlSet\Services\Tcpip\QoS" -Name "Do not use NLA" -Value "1"
//
// The commands are from Microsoft's documentation and were not run for this
// package. A program that runs there under such a policy sets AllowUnmarked;
// Conn.DSCP then says DF, because the policy's mark cannot be read back.
//
// # macOS and iOS
//
// On networks with Cisco Fastlane the system takes both options, holds them, and
// marks by the socket's service type instead (SO_NET_SERVICE_TYPE, 0x1116 at
// SOL_SOCKET). No error says so and reading back does not show it. A Control
// function in NetDialer can set the service type next to the mark: 1 for
// background, 4 for voice, 8 for responsive data.
package dscp
