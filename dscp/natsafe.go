package dscp

// NATSafe returns the mark that keeps c's intent with IP precedence zero, for
// networks that reset a flow whose precedence bits change: the values OpenSSH
// up to 7.7 used, which the reports on VMware's NAT name as the cure.
//
//   - Bulk classes (AF11, AF12, AF13, CS1, LE) become [Throughput], octet 0x08.
//   - [DF] and the code points 2 to 7, whose precedence is zero already, stay.
//   - All else becomes [LowDelay], octet 0x10.
//
// It cures boxes that look at precedence, not every box: those that have the
// DSCP in their flow key break on any change, and the wifi of the Raspberry
// Pi 3 lost packets marked 0x10 themselves. A value above 63 is returned as it
// is, to be refused where it is used.
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
