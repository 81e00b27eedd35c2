package dscp

// SocketPriority returns the SO_PRIORITY that Linux gives a socket when it is
// marked with c for IPv4, by IP_TOS. On an interface whose qdisc has bands
// (pfifo_fast, prio; see tc-prio(8)) it selects the band, so a mark can change the
// order in which this host sends, before any router has seen it.
//
// Only two bits of the mark count, those that RFC 1349 called low delay and
// throughput (octet & 0x18):
//
//	neither           0  best effort       DF, LE, CS1 to CS7
//	throughput        2  bulk              throughput, AF11, AF21, AF31, AF41
//	low delay         6  interactive       lowdelay, AF12, AF22, AF32, AF42, VOICE-ADMIT, NQB
//	both              4  interactive bulk  AF13, AF23, AF33, AF43, EF
//
// So AF21 is sent as bulk and EF behind AF12. Marking IPv6 (IPV6_TCLASS) sets no
// priority, nor has an accepted connection the one of its listener. A socket that
// is marked for both families has it for both. It is not a permission: no mark
// reaches the priorities above 6, which need CAP_NET_ADMIN.
func (c CodePoint) SocketPriority() int {
	// ip_tos2prio in the kernel's net/ipv4/route.c, from the octet's bits 0x1e,
	// of which the lowest belongs to ECN and the next changes nothing.
	return [...]int{0, 2, 6, 4}[c>>1&3]
}
