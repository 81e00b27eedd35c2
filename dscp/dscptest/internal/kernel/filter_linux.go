package kernel

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/packet"
)

// toMiddlebox returns the filter for TCP segments to a middlebox that listens on
// port of loopback.
func toMiddlebox(v6 bool, port uint16) []bpf.Instruction {
	if v6 {
		return ofTCP6(2, port, 24, loopback(v6))
	}
	return ofTCP4(2, port, 16, loopback(v6))
}

// fromUpstream returns the filter for TCP segments from this address.
func fromUpstream(v6 bool, upstream netip.AddrPort) []bpf.Instruction {
	addr := upstream.Addr().Unmap().WithZone("")
	if addr.IsUnspecified() {
		addr = loopback(v6) // where a dial to the unspecified address leads
	}
	if v6 {
		return ofTCP6(0, upstream.Port(), 8, addr)
	}
	return ofTCP4(0, upstream.Port(), 12, addr)
}

// ofFamily returns filter restricted to the packets of one family.
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

// only appends the condition that load fetches val.
func only(filter []bpf.Instruction, load bpf.Instruction, val uint32) []bpf.Instruction {
	return append(filter, load, bpf.JumpIf{Cond: bpf.JumpEqual, Val: val, SkipTrue: 1}, bpf.RetConstant{Val: 0})
}

// onlyAddr appends the condition that addr is at this offset.
func onlyAddr(filter []bpf.Instruction, at uint32, addr netip.Addr) []bpf.Instruction {
	for b := addr.AsSlice(); len(b) > 0; b = b[4:] {
		filter = only(filter, bpf.LoadAbsolute{Off: at, Size: 4}, binary.BigEndian.Uint32(b))
		at += 4
	}
	return filter
}

// ofTCP4 returns a filter for IPv4 segments with port at offset portAt of the TCP
// header and addr at offset at of the IP header.
func ofTCP4(portAt uint32, port uint16, at uint32, addr netip.Addr) []bpf.Instruction {
	prog := onlyAddr(nil, at, addr)
	prog = only(prog, bpf.LoadAbsolute{Off: 9, Size: 1}, unix.IPPROTO_TCP)
	prog = append(prog,
		bpf.LoadAbsolute{Off: 6, Size: 2}, // fragments have no ports
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadMemShift{Off: 0},
	)
	prog = only(prog, bpf.LoadIndirect{Off: portAt, Size: 2}, uint32(port))
	return append(prog, bpf.RetConstant{Val: packet.SnapLength})
}

// ofTCP6 is ofTCP4 for IPv6. A super-segment above 64 KiB (BIG TCP) has a header of
// hop-by-hop options before TCP's. The parser checks that it has a jumbo payload
// option and no other.
func ofTCP6(portAt uint32, port uint16, at uint32, addr netip.Addr) []bpf.Instruction {
	jumbo := only(nil, bpf.LoadAbsolute{Off: 40, Size: 1}, unix.IPPROTO_TCP)
	jumbo = only(jumbo, bpf.LoadAbsolute{Off: 48 + portAt, Size: 2}, uint32(port))
	jumbo = append(jumbo, bpf.RetConstant{Val: packet.SnapLength})

	prog := append(onlyAddr(nil, at, addr),
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_HOPOPTS, SkipFalse: uint8(len(jumbo))})
	prog = append(prog, jumbo...)
	prog = only(prog, bpf.LoadAbsolute{Off: 6, Size: 1}, unix.IPPROTO_TCP)
	prog = only(prog, bpf.LoadAbsolute{Off: 40 + portAt, Size: 2}, uint32(port))
	return append(prog, bpf.RetConstant{Val: packet.SnapLength})
}
