package kernel

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
	"github.com/godscp/godscp/internal/packet"
)

// A synSink discards SYNs before anybody answers them. It is a second listener on
// the middlebox's address (SO_REUSEPORT), to which a classic BPF program of the
// group steers the SYNs with certain marks, and whose check of the TTL or Hop
// Limit (RFC 5082) discards all that comes in. None of it needs a privilege.
//
// A sink that is closed, or not listening yet, lets its SYNs through to the
// middlebox: it has to be closed before the middlebox's own listener, which comes
// first in the group.
type synSink struct {
	l net.Listener
}

func (k *linuxKernel) OpenSYNSink(good *net.TCPListener, network string, marks MarkSet) (io.Closer, error) {
	raw, err := good.SyscallConn()
	if err != nil {
		return nil, err
	}
	// The program first: it must be there when the sink begins to listen.
	cerr := raw.Control(func(fd uintptr) {
		err = packet.Attach(int(fd), unix.SO_ATTACH_REUSEPORT_CBPF, steering(k.v6, marks))
	})
	if err == nil {
		err = cerr
	}
	if err != nil {
		return nil, Unsupported(network, "SO_ATTACH_REUSEPORT_CBPF", optionFailure("SO_ATTACH_REUSEPORT_CBPF", err))
	}
	lc := net.ListenConfig{Control: onSocket(func(c syscall.RawConn) error {
		if err := sharePort(c); err != nil {
			return err
		}
		return k.discardInput(c)
	})}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), network, good.Addr().String())
	if err != nil {
		return nil, err
	}
	s := &synSink{l}
	if err := s.try(k, network, marks); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *synSink) Close() error { return s.l.Close() }

// try sends one SYN that has to be discarded. Loopback answers a SYN before
// connect returns, so that a short time to wait will do.
func (s *synSink) try(k *linuxKernel, network string, marks MarkSet) error {
	const wait = 50 * time.Millisecond
	var cp dscp.CodePoint
	for !marks.Has(cp) {
		cp++
	}
	d := net.Dialer{Timeout: wait, Control: k.PrepareDial(cp)}
	c, err := d.Dial(network, s.l.Addr().String())
	if err == nil {
		c.Close()
		err = fmt.Errorf("a SYN marked %v was answered", cp)
	} else if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return nil
	}
	return Unsupported(network, "SO_ATTACH_REUSEPORT_CBPF", err)
}

func sharePort(c syscall.RawConn) error {
	return setOption(c, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT")
}

// The places of the two listeners in their group, which are what a steering
// program returns.
const (
	goodListener = 0
	sinkListener = 1
)

// steering returns the program that sends SYNs marked with one of marks to the
// sink. Its packet begins after the TCP header; what lies before is reached
// through an offset of Linux's own.
func steering(v6 bool, marks MarkSet) []bpf.Instruction {
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
		if marks.Has(cp) {
			prog = append(prog,
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(cp), SkipTrue: 1},
				bpf.RetConstant{Val: sinkListener})
		}
	}
	return append(prog, bpf.RetConstant{Val: goodListener})
}
