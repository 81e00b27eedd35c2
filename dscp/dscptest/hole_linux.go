package dscptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A hole loses SYNs before anybody answers them. It is a second listener on the
// box's address (SO_REUSEPORT), to which a classic BPF program of the group
// steers the SYNs with certain marks, and whose check of the TTL or Hop Limit
// (RFC 5082) loses all that comes in. None of it needs a privilege.
//
// A hole that is gone, or not listening yet, lets its SYNs through to the box:
// it has to be closed before the box's own listener, which comes first in the
// group.
type hole struct {
	l net.Listener
}

func (s *linuxSenses) openHole(good *net.TCPListener, network string, marks markSet) (io.Closer, error) {
	raw, err := good.SyscallConn()
	if err != nil {
		return nil, err
	}
	// The program first: it must be there when the hole begins to listen.
	if err := control(raw, func(fd uintptr) error {
		return attach(fd, unix.SO_ATTACH_REUSEPORT_CBPF, steering(s.v6, marks), "SO_ATTACH_REUSEPORT_CBPF")
	}); err != nil {
		return nil, unsupported(network, "SO_ATTACH_REUSEPORT_CBPF", err)
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd uintptr) error {
			if err := reusePort(fd); err != nil {
				return err
			}
			return s.darkenFD(fd)
		})
	}}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), network, good.Addr().String())
	if err != nil {
		return nil, err
	}
	h := &hole{l}
	if err := h.try(s, network, marks); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *hole) Close() error { return h.l.Close() }

// try sends one SYN that has to vanish. Loopback answers a SYN before connect
// returns, so that a short time to wait will do.
func (h *hole) try(s *linuxSenses, network string, marks markSet) error {
	const wait = 50 * time.Millisecond
	var cp dscp.CodePoint
	for !marks.has(cp) {
		cp++
	}
	d := net.Dialer{Timeout: wait, Control: s.prepareDial(cp)}
	c, err := d.Dial(network, h.l.Addr().String())
	if err == nil {
		c.Close()
		err = fmt.Errorf("a SYN marked %v was answered", cp)
	} else if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return nil
	}
	return unsupported(network, "SO_ATTACH_REUSEPORT_CBPF", err)
}

func reusePort(fd uintptr) error {
	return setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT")
}

// The places of the two listeners in their group, which are what a steering
// program returns.
const (
	goodListener = 0
	holeListener = 1
)

// steering returns the program that sends SYNs marked with one of marks to the
// hole. Its packet begins after the TCP header; what lies before is reached
// through an offset of Linux's own.
func steering(v6 bool, marks markSet) []bpf.Instruction {
	const netOff = 0xfff00000 // SKF_NET_OFF, -0x100000
	var prog []bpf.Instruction
	if v6 { // version, Traffic Class, flow label: 4, 8 and 20 bits
		prog = append(prog,
			bpf.LoadAbsolute{Off: netOff, Size: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 6},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 63})
	} else {
		prog = append(prog,
			bpf.LoadAbsolute{Off: netOff + 1, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 2})
	}
	for cp := range dscp.CodePoint(64) {
		if marks.has(cp) {
			prog = append(prog,
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(cp), SkipTrue: 1},
				bpf.RetConstant{Val: holeListener})
		}
	}
	return append(prog, bpf.RetConstant{Val: goodListener})
}
