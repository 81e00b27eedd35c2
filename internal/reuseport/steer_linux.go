package reuseport

import (
	"os"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Supported says whether this system has what the package needs.
const Supported = true

// ipHeader is the offset at which a program loads from the IP header (SKF_NET_OFF).
const ipHeader = 0xfff00000

// steering returns the program that chooses the socket of a group for a packet: socket
// i+1 if the upper six bits of the packet's octet are those of octets[i], and socket 0
// otherwise. The version in the IP header decides where the octet is. A packet of an
// IPv4 peer to a socket that takes both families has an IPv4 header.
func steering(octets []uint8) []bpf.Instruction {
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: ipHeader, Size: 2},
		bpf.TAX{},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 12},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 3},
		bpf.TXA{}, // IPv4: version and length, then the octet
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfc},
		bpf.Jump{Skip: 3},
		bpf.TXA{}, // IPv6: version, octet, flow label
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfc},
	}
	for i, octet := range octets {
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(octet &^ 3), SkipTrue: 1},
			bpf.RetConstant{Val: uint32(i + 1)})
	}
	return append(program, bpf.RetConstant{Val: 0})
}

// Lead makes c, which is not bound yet, the first member of a group. The kernel gives a
// SYN whose octet is octets[i], apart from the ECN bits, to member i+1, in the order in
// which the members are bound, and every other SYN to c. (It steers an ACK that answers
// a SYN cookie by the octet of the ACK.)
//
// As c has its group before it is bound, it cannot join another: bind fails with
// EADDRINUSE if another socket listens on the port.
func Lead(c syscall.RawConn, octets []uint8) error {
	return control(c, func(fd int) error {
		if err := share(fd); err != nil {
			return err
		}
		return attach(fd, unix.SO_ATTACH_REUSEPORT_CBPF, "SO_ATTACH_REUSEPORT_CBPF", steering(octets))
	})
}

// Join makes c, which is not bound yet, join the group of the address to which it will
// be bound.
func Join(c syscall.RawConn) error { return control(c, share) }

func share(fd int) error {
	return failed("SO_REUSEPORT", "setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

func control(c syscall.RawConn, f func(fd int) error) (err error) {
	if cerr := c.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

func attach(fd, option int, name string, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, x := range raw {
		filter[i] = unix.SockFilter{Code: x.Op, Jt: x.Jt, Jf: x.Jf, K: x.K}
	}
	return failed(name, "setsockopt", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, option,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}))
}

// failed returns the error of a system call as an Error; nil for nil.
func failed(option, call string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{option, os.NewSyscallError(call, err)}
}
