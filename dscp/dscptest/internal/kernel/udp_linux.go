package kernel

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func (k *linuxKernel) Arrived(oob []byte) (time.Time, bool) {
	if !k.tellsArrival.Load() {
		return time.Time{}, false
	}
	return arrived(oob)
}

// arrived returns the time in the control messages of a datagram; false if there is
// none.
func arrived(oob []byte) (time.Time, bool) {
	for len(oob) >= unix.CmsgLen(0) { // less than a header is padding
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			var at unix.Timespec
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&at)), unsafe.Sizeof(at)), data)
			return time.Unix(at.Unix()), true
		}
		oob = rest
	}
	return time.Time{}, false
}

func (k *linuxKernel) UDPSocket(local, remote netip.AddrPort) (UDPSocket, bool) {
	if !k.tellsUDPSockets.Load() {
		return UDPSocket{}, false
	}
	s, err := k.udpSocket(local, remote)
	return s, err == nil
}

func (k *linuxKernel) udpSocket(local, remote netip.AddrPort) (UDPSocket, error) {
	if k.diag == nil {
		return UDPSocket{}, unix.EOPNOTSUPP
	}
	return k.diag.udpSocket(local, remote)
}
