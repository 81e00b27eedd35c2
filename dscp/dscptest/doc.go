// Package dscptest provides middleboxes for testing how programs behave on networks
// that mishandle DSCP. A box stands between a client and a server in a test, without
// privileges, and records what it saw.
//
//	box := dscptest.NewMiddlebox(t, server, dscptest.VMware)
//	conn, err := net.Dial("tcp", box.Addr()) // or give box.Addr() to your program
//
// A program that marks its connection after connect, with
// ipv4.NewConn(conn).SetTOS or as OpenSSH does once it has logged in, is reset
// behind this box; one that marks the SYN and leaves the mark alone, like that
// of a [dscp.Dialer], is not. [OneMark] forwards everything and fails the test if a
// flow shows two marks, like a race detector: put it in front of the server of any
// suite.
//
// # The box
//
// A [Middlebox] is a relay on loopback with real sockets of the kernel. Like a
// NAT in user space it ends the client's connection and makes its own to the
// upstream. It carries the marks of either side over to the other connection,
// as its models leave them. It takes TCP on [Middlebox.Addr] and datagrams on
// [Middlebox.UDPAddr], in the family of its upstream, which need not be on
// loopback; boxes can stand behind one another. [Middlebox.Flows] has a record
// of every flow: the mark of the SYN, every change with its direction and
// place, and what the box did and why.
//
// # Models
//
// What a box does is a [Model], a pure function of what a flow has shown. Models
// compose in their order. The evidence for each is in its documentation; most
// of it is what users reported, not what somebody measured:
//
//	Model                what it does                    what it models                     evidence
//	VMware               IP precedence changes: reset    VMware Workstation, Player and     fitted to reports: vmware/open-vm-tools#287,
//	                                                     Fusion NAT; any RFC 793 TCP        hashicorp/vagrant#10730; the rule is conjecture
//	FlowKey              any change: silence, one way    Vodafone Station HHG2500           one report, matteocroce.it/blog/ssh-low-qos;
//	                                                                                        the cause is its author's guess
//	DropMarked           a mark is never carried         MediaTek MT7622/MT79xx wifi; EF    Entware/Entware#1271; openssh-unix-dev
//	                                                     policers that drop everything      2026-April/042419
//	DropMarkedData       a mark is not carried after     Raspberry Pi 3 and Zero W wifi;    raspberrypi/linux#1342, mkj/dropbear#193;
//	                     the handshake                   an IPsec tunnel                    data or handshake is read from the symptoms
//	Bleach               DSCP := 0                       Bleach-DSCP                        RFC 9435, section 4: measured
//	BleachToSPrecedence  top three bits := 000           Bleach-ToS-Precedence              RFC 9435, section 4: measured
//	BleachSomeToS        the same, unless 11xxxx         Bleach-some-ToS                    RFC 9435, section 4: measured
//	RemarkToS            top three bits := 001           Re-mark-ToS                        RFC 9435, section 4: measured
//	BleachLow            bottom three bits := 000        Bleach-low                         RFC 9435, section 4: measured
//	BleachSomeLow        the same, unless 11xxxx         Bleach-some-low                    RFC 9435, section 4: measured
//	Remark               DSCP := one value               Re-mark-DSCP                       RFC 9435, section 4: measured
//	OneMark              fails the test on any change    none: it enforces the rule         RFC 7657, section 5.3; RFC 9293, SHLD-23
//
// The models approximate devices from reports; none was verified against the device.
// VMware in particular was not run, and newer versions may be fixed.
//
// # What a box can see, and what it cannot do
//
// The mark of a SYN is read off the SYN as it arrived, and that of a datagram
// off the datagram. How the box learns the marks of later segments
// [Middlebox.Sensor] tells. Where the process may capture packets, as root may,
// it reads every segment off the wire: [WireEvery]. Elsewhere it reads the latest
// one on IPv6, [WireLatest], and on IPv4 it asks the kernel what the sending
// socket is set to, [SocketOption], which works for sockets in the same network
// namespace only. What each leaves out is said there. No sensor takes a constant
// mark for one that changes.
//
// The box ends connections, so that some things differ from a real NAT:
//
//   - Its SYN-ACK has left before the upstream's is known. It carries the mark
//     that the upstream's listener is set to, where that can be looked up in this
//     network namespace, else that of the upstream's answer to the client before.
//     Towards the first client, and behind listeners with different marks on one
//     address towards each, the box itself may change a mark.
//   - A verdict on a SYN-ACK comes too late to keep the client from connecting.
//   - All bytes that one read returned are treated alike: bytes that were sent right
//     before a fatal change may be lost with it. [Config].SegmentSize bounds them.
//   - [Drop] cannot drop a single TCP segment; see its documentation.
//   - A delay is added to payload, and not to the handshake.
//   - Urgent data (MSG_OOB) is sent on as such, a byte at a time.
//
// # Whose datagrams
//
// On UDP a flow is what one client's socket sends and is sent, as far as the box can
// tell: it asks the kernel which socket has the client's port when it sees the first
// datagram, and again when a mark differs. Another socket's datagrams are another
// flow. Where the socket is gone by then, or it is not certain that it sent the
// datagrams before (it is once two have come with the same mark, or the box was quick
// and the socket has taken an answer), the change is recorded and the models act on
// it, but [Report] is not heeded: two correct programs may have used the port one
// after the other. The same
// goes for the server. Where the kernel does not tell, and for a server outside this
// network namespace, the addresses and ports alone make the flow.
//
// # Systems
//
// Boxes need Linux: elsewhere [NewMiddlebox] skips the test, and [Start] returns a
// *[dscp.UnsupportedError]. On a Linux that cannot run a box the test is skipped,
// too, but fails if the environment variable CI is set. If DSCPTEST_REQUIRE is set,
// it fails on every system. Models and records work everywhere.
package dscptest
