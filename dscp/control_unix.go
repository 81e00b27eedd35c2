//go:build unix

package dscp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// pinControl returns oob with the pinned mark in every control message that
// sets the TOS or Traffic Class octet, or an error if one asks for another
// mark. It copies oob before it changes anything.
func (p *pin) pinControl(oob []byte) ([]byte, error) {
	if len(oob) == 0 {
		return oob, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, p.opError("write", err)
	}
	own := false
	for i := range msgs {
		octet, ok := octetOf(msgs[i])
		if !ok {
			continue
		}
		switch FromTOS(octet) {
		case p.cp:
		case DF:
			if !own {
				// Data points into oob, so parsing a copy gives something to write to.
				oob, own = slices.Clone(oob), true
				if msgs, err = unix.ParseSocketControlMessage(oob); err != nil {
					return nil, p.opError("write", err)
				}
			}
			setOctet(msgs[i], octet&ecnMask|p.cp.TOS())
		default:
			return nil, p.opError("write", p.midFlow(FromTOS(octet)))
		}
	}
	return oob, nil
}

// octetOf returns the octet that a control message sets. Values that no octet
// can be are left to the kernel, which refuses them, but for -1: Linux sends that
// as Traffic Class 0xff, although RFC 3542 (section 6.5) has it mean the default.
func octetOf(m unix.SocketControlMessage) (octet uint8, ok bool) {
	tos := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TOS
	class := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS
	if !tos && !class {
		return 0, false
	}
	switch {
	case len(m.Data) >= 4:
		v := binary.NativeEndian.Uint32(m.Data)
		return uint8(v), v <= 0xff || v == 0xffffffff
	case len(m.Data) > 0:
		return m.Data[0], true
	}
	return 0, false
}

// setOctet is the inverse of octetOf.
func setOctet(m unix.SocketControlMessage, octet uint8) {
	if len(m.Data) >= 4 {
		binary.NativeEndian.PutUint32(m.Data, uint32(octet))
		return
	}
	m.Data[0] = octet
}
