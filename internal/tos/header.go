package tos

// HeaderOctet returns the TOS octet or the Traffic Class octet of an IP header, by the
// version in the header. It needs the first two bytes. ok is false for any version
// other than 4 and 6.
func HeaderOctet(header []byte) (octet uint8, ok bool) {
	if len(header) < 2 {
		return 0, false
	}
	switch header[0] >> 4 {
	case 4:
		return header[1], true
	case 6: // version, Traffic Class, flow label: 4, 8 and 20 bits
		return header[0]<<4 | header[1]>>4, true
	}
	return 0, false
}
