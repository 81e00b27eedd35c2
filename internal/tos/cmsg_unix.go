//go:build unix

package tos

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RewriteControl returns oob, control messages to be sent, with each octet replaced by
// the one that rewrite returns for it. It returns the first error of rewrite, or an
// error if a message is malformed. It copies oob before it changes anything.
func RewriteControl(oob []byte, rewrite func(o Option, octet uint8) (uint8, error)) ([]byte, error) {
	own := false
	for at := 0; at+unix.CmsgLen(0) <= len(oob); { // less than a header is padding
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob[at:])
		if err != nil {
			return nil, err
		}
		next := len(oob) - len(rest)
		o, sets := optionOf(int(h.Level), int(h.Type))
		octet, ok := octetIn(data)
		if sets && ok {
			wanted, err := rewrite(o, octet)
			if err != nil {
				return nil, err
			}
			if wanted != octet {
				if !own {
					oob, own = slices.Clone(oob), true
					// Find the value in the copy.
					if _, data, _, err = unix.ParseOneSocketControlMessage(oob[at:]); err != nil {
						return nil, err
					}
				}
				putOctet(data, wanted)
			}
		}
		at = next
	}
	return oob, nil
}

// optionOf returns the option whose octet a control message to be sent sets.
func optionOf(level, typ int) (Option, bool) {
	switch {
	case level == unix.IPPROTO_IP && typ == unix.IP_TOS:
		return IPv4TOS, true
	case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_TCLASS:
		return IPv6TClass, true
	}
	return 0, false
}

// AppendControl appends to b the control message that sets the octet of one datagram.
// Host.MessageValue must not be 0 for o.
func AppendControl(b []byte, o Option, octet uint8) []byte {
	n := Host.MessageValue[o]
	at := len(b)
	b = append(b, make([]byte, unix.CmsgSpace(n))...)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[at]))
	h.Level = int32(o.Level())
	h.Type = unix.IP_TOS
	if o == IPv6TClass {
		h.Type = unix.IPV6_TCLASS
	}
	h.SetLen(unix.CmsgLen(n))
	putOctet(b[at+unix.CmsgLen(0):][:n], octet)
	return b
}

// ReceivedOctet returns the octet in received control messages.
func ReceivedOctet(oob []byte) (octet uint8, ok bool) {
	for len(oob) >= unix.CmsgLen(0) { // less than a header is padding
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0, false
		}
		if octet, ok := Host.receivedOctet(int(h.Level), int(h.Type), data); ok {
			return octet, true
		}
		oob = rest
	}
	return 0, false
}
