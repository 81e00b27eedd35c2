package kernel

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
)

// AppendOctet appends the control message that sends a datagram with an octet.
func (k *linuxKernel) AppendOctet(oob []byte, octet uint8) []byte {
	at := len(oob)
	oob = append(slices.Grow(oob, unix.CmsgSpace(4)), make([]byte, unix.CmsgSpace(4))...)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[at]))
	h.SetLen(unix.CmsgLen(4))
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_TOS
	if k.option() == tos.IPv6TClass {
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	binary.NativeEndian.PutUint32(oob[at+unix.CmsgLen(0):], uint32(octet))
	return oob
}
