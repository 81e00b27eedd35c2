// Package trace shows what a [dscptest.Middlebox] saw: as a text table, as a
// capture file for Wireshark, and as a picture of one flow.
//
// A box keeps a record of its flows and no packets. The packets here are made
// from the record: marks, directions, amounts, order and times are those that
// the box noted; the payload is zeros, sequence numbers begin at round numbers,
// acknowledgements without news are left out, and the time of a SYN-ACK is not
// known. Addresses are those of the client and of the upstream, as if there were
// one connection between them. [WritePcapNG] says so in the file.
package trace
