package dscp

// NATSafe returns the mark with IP precedence zero that comes closest to c, for
// networks that reset a flow whose precedence bits change. It uses the values of
// OpenSSH up to 7.7, which the reports on VMware's NAT name as the cure.
//
//   - Bulk classes (AF11, AF12, AF13, CS1, LE) become [Throughput], octet 0x08. LE has
//     precedence zero, too, but the reports name Throughput as the cure for bulk.
//   - [DF] and the code points 2 to 7, which have precedence zero, stay.
//   - All others become [LowDelay], octet 0x10.
//
// It helps with boxes that check precedence, not with every box: a box that has the
// DSCP in its flow key breaks on any change, and the Wi-Fi of the Raspberry Pi 3 lost
// packets marked 0x10. A value above 63 is returned unchanged, so that the function
// that it is passed to can refuse it.
func (c CodePoint) NATSafe() CodePoint {
	switch {
	case !c.Valid():
		return c
	case c == LE, c == CS1, c == AF11, c == AF12, c == AF13:
		return Throughput
	case c.Precedence() == 0:
		return c
	}
	return LowDelay
}
