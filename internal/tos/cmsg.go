package tos

import "encoding/binary"

// octetIn returns the octet in the value of a control message, which is a byte or an
// int. It returns false for a value that is no octet, which the kernel refuses. The
// exception is -1: Linux sends it as Traffic Class 0xff, although it means the default
// in RFC 3542 (section 6.5).
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

// messageValueOf returns the lengths for Platform.MessageValue. OpenBSD silently
// ignores the message for IPv4, NetBSD and DragonFly have none, and Solaris, illumos
// and AIX have not been tried.
func messageValueOf(goos string) [2]int {
	switch goos {
	case "linux", "android", "darwin", "ios":
		return [2]int{IPv4TOS: 4, IPv6TClass: 4}
	case "freebsd":
		return [2]int{IPv4TOS: 1, IPv6TClass: 4}
	case "netbsd", "openbsd", "dragonfly":
		return [2]int{IPv6TClass: 4}
	}
	return [2]int{}
}

// MessageOptions returns the options whose control messages mark single datagrams, for
// all datagrams that a socket can send. The parameters and the errors are those of
// Options.
func (p Platform) MessageOptions(network string, peers Peers, v6only func() (bool, error)) ([]Option, error) {
	opts, err := p.Options(network, peers, v6only)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		if p.MessageValue[o] == 0 {
			return nil, NoMessage(o)
		}
	}
	return opts, nil
}

// NoMessage returns the error for a system that does not let a control message set
// the octet of one datagram.
func NoMessage(o Option) *MissingError {
	return &MissingError{o.String(), "the system does not take it in a control message"}
}

// IgnoredMessage returns the error for a system of which [Option.IgnoresMessage] has
// shown that it takes the control message and ignores it.
func IgnoredMessage(o Option) *MissingError {
	return &MissingError{o.String(), "the system ignores it in a control message"}
}
