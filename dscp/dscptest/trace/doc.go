// Package trace shows what a [dscptest.Middlebox] saw: as a text table, as a
// capture file for Wireshark, and as a picture of one flow.
//
// A box records its flows and keeps no packets. This package makes packets from the
// record. Their marks, directions, sizes, order and times are those in the record.
// The payload is zeros, and sequence numbers begin at round numbers. Acknowledgements
// are left out unless they show another mark. The time of a SYN-ACK is not known, and
// is that of the SYN. The addresses are those of the client and of the upstream, as if
// there were one connection between them. [WritePcapNG] says so in the file.
package trace
