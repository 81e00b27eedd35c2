package tos

import "encoding/binary"

// octetIn returns the octet in the value of a control message, which is a
// byte or an int. Values that no octet can be are left to the kernel, which
// refuses them, but for -1: Linux sends that as Traffic Class 0xff, although
// RFC 3542 (section 6.5) has it mean the default.
func octetIn(data []byte) (octet uint8, ok bool) {
	switch {
	case len(data) >= 4:
		v := binary.NativeEndian.Uint32(data)
		return uint8(v), v <= 0xff || v == 0xffffffff
	case len(data) > 0:
		return data[0], true
	}
	return 0, false
}

// putOctet is the inverse of octetIn.
func putOctet(data []byte, octet uint8) {
	if len(data) >= 4 {
		binary.NativeEndian.PutUint32(data, uint32(octet))
		return
	}
	data[0] = octet
}
