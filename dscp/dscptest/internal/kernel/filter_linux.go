package kernel

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/packet"
)

// toMiddlebox returns the filter for TCP segments to a middlebox that listens on port of
// loopback.
func toMiddlebox(v6 bool, port uint16) []bpf.Instruction {
	if v6 {
		return ofTCP(v6, bpf.LoadAbsolute{Off: 42, Size: 2}, port, 24, loopback(v6))
	}
	return ofTCP(v6, bpf.LoadIndirect{Off: 2, Size: 2}, port, 16, loopback(v6))
}

// fromUpstream returns the filter for TCP segments from this address.
func fromUpstream(v6 bool, upstream netip.AddrPort) []bpf.Instruction {
	addr := upstream.Addr().Unmap().WithZone("")
	if addr.IsUnspecified() {
		addr = loopback(v6) // who dials it reaches that
	}
	if v6 {
		return ofTCP(v6, bpf.LoadAbsolute{Off: 40, Size: 2}, upstream.Port(), 8, addr)
	}
	return ofTCP(v6, bpf.LoadIndirect{Off: 0, Size: 2}, upstream.Port(), 12, addr)
}

// ofFamily returns a filter that takes what filter does of the packets of one
// family.
func ofFamily(v6 bool, filter []bpf.Instruction) []bpf.Instruction {
	protocol := uint32(unix.ETH_P_IP)
	if v6 {
		protocol = unix.ETH_P_IPV6
	}
	return append([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocol, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}, filter...)
}

// loopback returns the address that middleboxes of the family listen on.
func loopback(v6 bool) netip.Addr {
	if v6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// ofTCP returns a filter that takes TCP segments with this port, which load
// fetches, and this address at offset at.
func ofTCP(v6 bool, load bpf.Instruction, port uint16, at uint32, addr netip.Addr) []bpf.Instruction {
	no := bpf.RetConstant{Val: 0}
	only := func(prog []bpf.Instruction, word bpf.Instruction, val uint32) []bpf.Instruction {
		return append(prog, word, bpf.JumpIf{Cond: bpf.JumpEqual, Val: val, SkipTrue: 1}, no)
	}
	protocol := uint32(9)
	if v6 {
		protocol = 6
	}
	prog := only(nil, bpf.LoadAbsolute{Off: protocol, Size: 1}, unix.IPPROTO_TCP)
	if !v6 {
		prog = append(prog,
			bpf.LoadAbsolute{Off: 6, Size: 2}, // fragments have no ports
			bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipFalse: 1},
			no,
			bpf.LoadMemShift{Off: 0},
		)
	}
	prog = only(prog, load, uint32(port))
	for b := addr.AsSlice(); len(b) > 0; b = b[4:] {
		prog = only(prog, bpf.LoadAbsolute{Off: at, Size: 4}, binary.BigEndian.Uint32(b))
		at += 4
	}
	return append(prog, bpf.RetConstant{Val: packet.SnapLength})
}
