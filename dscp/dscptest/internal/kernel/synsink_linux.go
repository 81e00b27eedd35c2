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

// A synSink discards SYNs before the kernel answers them. It is a second listener on
// the middlebox's address (SO_REUSEPORT). A classic BPF program of the group steers
// the SYNs with certain marks to it, and its check of the TTL or Hop Limit (RFC 5082)
// discards all that arrives. None of this needs a privilege.
//
// While a sink is not listening, its SYNs reach the middlebox's own listener, which is
// the first of the group. The sink has to be closed before that listener.
type synSink struct {
	l net.Listener
}

func (k *linuxKernel) OpenSYNSink(good *net.TCPListener, network string, marks MarkSet) (io.Closer, error) {
	raw, err := good.SyscallConn()
	if err != nil {
		return nil, err
	}
	// The program must be attached before the sink begins to listen.
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

// try sends one SYN, which must be discarded. On loopback the answer to a SYN arrives
// at once, so a short wait is enough. A slower kernel is noticed when the middlebox is
// tried with another mark. Where every mark is discarded, try waits longer.
func (s *synSink) try(k *linuxKernel, network string, marks MarkSet) error {
	wait := 50 * time.Millisecond
	if ^marks == 0 {
		wait = 500 * time.Millisecond
	}
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

// The indexes of the two listeners in their group. The steering program returns one.
const (
	goodListener = 0
	sinkListener = 1
)

// steering returns the program that steers SYNs marked with one of marks to the sink.
// A program sees a packet from behind the TCP header on, and reaches the IP header at
// an offset that Linux adds.
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
