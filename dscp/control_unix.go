//go:build unix

package dscp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// pinControl returns oob with the pinned mark in every control message that
// sets the TOS or Traffic Class octet, or the reason why one asks for another
// mark. It copies oob before it changes anything.
func (p *pin) pinControl(oob []byte) ([]byte, error) {
	own := false
	for at := 0; at+unix.CmsgLen(0) <= len(oob); { // what is shorter than a header is padding
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob[at:])
		if err != nil {
			return nil, err
		}
		next := len(oob) - len(rest)
		if opt, ok := optionOf(int(h.Level), int(h.Type)); ok {
			octet, ok := octetIn(data)
			pinned := p.pinned(opt)
			switch cp := FromTOS(octet); {
			case !ok, cp == pinned:
			case cp != DF:
				return nil, p.midFlow(opt, cp)
			default:
				if !own {
					oob, own = slices.Clone(oob), true
					// The value again, in the copy.
					if _, data, _, err = unix.ParseOneSocketControlMessage(oob[at:]); err != nil {
						return nil, err
					}
				}
				putOctet(data, octet&ecnMask|pinned.TOS())
			}
		}
		at = next
	}
	return oob, nil
}

// optionOf returns the option that a control message to be sent stands for.
func optionOf(level, typ int) (option, bool) {
	switch {
	case level == unix.IPPROTO_IP && typ == unix.IP_TOS:
		return ipTOS, true
	case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_TCLASS:
		return trafficClass, true
	}
	return 0, false
}

// receivedOctet returns the octet that received control messages tell.
func receivedOctet(oob []byte) (octet uint8, ok bool) {
	for len(oob) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0, false
		}
		if octet, ok := host.reported(int(h.Level), int(h.Type), data); ok {
			return octet, true
		}
		oob = rest
	}
	return 0, false
}
