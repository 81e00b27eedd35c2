// Package dscptest provides middleboxes for testing how programs behave on networks
// that mishandle DSCP. A box relays between a client and a server in a test, without
// privileges, and records what it saw.
//
//	box := dscptest.NewMiddlebox(t, server, dscptest.VMware)
//	conn, err := net.Dial("tcp", box.Addr()) // or give box.Addr() to your program
//
// This box resets a connection that its program marks after connect, with
// ipv4.NewConn(conn).SetTOS or as OpenSSH does once it has logged in. It does not
// reset one that is marked from the SYN on and keeps its mark, like that of a
// [dscp.Dialer]. [OneMark] forwards everything and fails the test if a flow shows two
// marks, like a race detector; a box with OneMark can be put in front of the server
// of any test.
//
// # The box
//
// A [Middlebox] is a relay on loopback with real sockets of the kernel. Like a
// NAT in user space it ends the client's connection and makes its own to the
// upstream. It gives what it forwards the marks that arrived, as its models leave
// them. It accepts TCP on [Middlebox.Addr] and datagrams on [Middlebox.UDPAddr], in
// the address family of its upstream. The upstream need not be on loopback, and may
// be another box. [Middlebox.Flows] has a record of every flow: the mark of the SYN,
// every change with its direction and offset, and what the box did and why.
//
// # Models
//
// A [Model] decides what a box does. It is a pure function of what a flow has shown.
// A box calls its models in order. The evidence for each is in its documentation;
// most of it is what users reported, and not measured:
//
//	Model                what it does                    what it models                     evidence
//	VMware               IP precedence changes: reset    VMware Workstation, Player and     fitted to reports: vmware/open-vm-tools#287,
//	                                                     Fusion NAT; any RFC 793 TCP        hashicorp/vagrant#10730; the rule is conjecture
//	FlowKey              any change: drops, one way      Vodafone Station HHG2500           one report, matteocroce.it/blog/ssh-low-qos;
//	                                                                                        the cause is its author's guess
//	DropMarked           drops a mark                    MediaTek MT7622/MT79xx Wi-Fi; EF   Entware/Entware#1271; openssh-unix-dev
//	                                                     policers that drop everything      2026-April/042419
//	DropMarkedData       drops a mark after the          Raspberry Pi 3 and Zero W Wi-Fi;   raspberrypi/linux#1342, mkj/dropbear#193;
//	                     handshake                       an IPsec tunnel                    that it is data is inferred from the symptoms
//	Bleach               DSCP := 0                       Bleach-DSCP                        RFC 9435, section 4: measured
//	BleachToSPrecedence  top three bits := 000           Bleach-ToS-Precedence              RFC 9435, section 4: measured
//	BleachSomeToS        the same, unless 11xxxx         Bleach-some-ToS                    RFC 9435, section 4: measured
//	RemarkToS            top three bits := 001           Re-mark-ToS                        RFC 9435, section 4: measured
//	BleachLow            bottom three bits := 000        Bleach-low                         RFC 9435, section 4: measured
//	BleachSomeLow        the same, unless 11xxxx         Bleach-some-low                    RFC 9435, section 4: measured
//	Remark               DSCP := one value               Re-mark-DSCP                       RFC 9435, section 4: measured
//	OneMark              fails the test on any change    none: it enforces the rule         RFC 7657, section 5.3; RFC 9293, SHLD-23
//
// The models approximate devices from reports; none was compared with the device
// itself. Newer versions of VMware may be fixed.
//
// # What a box can see, and what it cannot do
//
// A box reads the mark of a SYN off the SYN as it arrived, and that of a datagram off
// the datagram. [Middlebox.Sensor] returns how it learns the marks of later segments.
// If the process may capture packets, as root may, the box reads every segment off
// the wire ([WireEvery]). Otherwise it reads the latest segment on IPv6
// ([WireLatest]). On IPv4 it asks the kernel for the option of the sending socket
// ([SocketOption]), which must be in the same network namespace. The documentation of
// each sensor says what it misses. No sensor reports a change of a mark that is
// constant.
//
// The box ends connections, so some things differ from a real NAT:
//
//   - The box has sent its SYN-ACK before it knows the upstream's. Its SYN-ACK has
//     the mark that the upstream's listener is set to, if the kernel reports that,
//     and otherwise the mark of the upstream's SYN-ACK to the client before. So the
//     box itself may change a mark towards the first client, and towards any client
//     if listeners with different marks share the upstream's address.
//   - A verdict on a SYN-ACK comes too late to keep the client from connecting.
//   - All bytes that one read returned are treated alike: bytes that were sent right
//     before a fatal change may be lost with it. [Config].SegmentSize limits how many.
//   - [Drop] cannot drop a single TCP segment; see its documentation.
//   - A delay is added to payload, and not to the handshake.
//   - Urgent data (MSG_OOB) is forwarded as such, a byte at a time.
//
// # UDP flows
//
// On UDP a flow is the datagrams of one client socket. The box asks the kernel which
// socket has the client's port when it sees the first datagram, and again when a mark
// differs. The datagrams of another socket are another flow.
//
// Two correct programs may use a port one after the other. So if the socket is gone,
// or it is not certain that it sent the datagrams before, the box records the change
// and the models act on it, but the box ignores [Report]. It is certain once two
// datagrams have come with the same mark, or if the kernel answered at once and the
// socket has read an answer. The same holds for the server. If the kernel does not
// report sockets, or the server is outside this network namespace, only the addresses
// and ports decide.
//
// # Systems
//
// Boxes need Linux. Elsewhere [NewMiddlebox] skips the test, and [Start] returns a
// *[dscp.UnsupportedError]. On a Linux that cannot run a box, NewMiddlebox skips the
// test as well, but fails it if the environment variable CI is set. If
// DSCPTEST_REQUIRE is set, it fails the test on every system. Models and records work
// everywhere.
package dscptest
