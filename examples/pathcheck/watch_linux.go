package main

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A segmentWatch reads the marks of all IPv4 segments to a port. It needs a raw socket,
// and so CAP_NET_RAW. A nil segmentWatch reads nothing.
type segmentWatch struct {
	conn *net.IPConn
	raw  syscall.RawConn
	port uint16

	mu    sync.Mutex
	flows map[netip.AddrPort]*segments
	lost  bool // segments were dropped: the marks of any flow may be incomplete
}

// segments are the marks of a flow's segments after the SYN, each once, in order.
type segments struct {
	marks []dscp.CodePoint
	since time.Time
}

// mostFlows limits the number of recorded flows, and flowLife the time for which a flow
// is kept if no client asks for it.
const (
	mostFlows = 1 << 12
	flowLife  = time.Minute
)

// watchSegments returns nil if this process may not open a raw socket.
func watchSegments(ctx context.Context, port int) *segmentWatch {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "ip4:tcp", "0.0.0.0")
	if err != nil {
		return nil
	}
	w := &segmentWatch{conn: c.(*net.IPConn), port: uint16(port), flows: make(map[netip.AddrPort]*segments)}
	if err := w.prepare(); err != nil {
		c.Close()
		return nil
	}
	return w
}

func (w *segmentWatch) prepare() error {
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadMemShift{Off: 0},          // the length of the IP header
		bpf.LoadIndirect{Off: 2, Size: 2}, // the destination port
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(w.port), SkipFalse: 1},
		bpf.RetConstant{Val: 128},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	if err := ipv4.NewPacketConn(w.conn).SetBPF(program); err != nil {
		return err
	}
	if w.raw, err = w.conn.SyscallConn(); err != nil {
		return err
	}
	var failed error
	err = w.raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	})
	if err != nil {
		return err
	}
	return failed
}

// marks returns the marks of the segments that peer has sent after the SYN, and whether
// they are complete. A raw socket gets a segment before TCP does, so the marks of all
// data that a connection has read are here.
func (w *segmentWatch) marks(peer netip.AddrPort) ([]dscp.CodePoint, bool) {
	if w == nil {
		return nil, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.raw.Read(func(fd uintptr) bool {
		w.drain(int(fd))
		return true
	}); err != nil {
		return nil, false
	}
	s := w.flows[peer]
	if s == nil {
		return nil, false
	}
	return slices.Clone(s.marks), !w.lost
}

// drain reads the queued segments, and does not wait.
func (w *segmentWatch) drain(fd int) {
	packet, control := make([]byte, 128), make([]byte, 64)
	for {
		n, cn, _, _, err := unix.Recvmsg(fd, packet, control, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		w.lost = w.lost || cn > 0 // SO_RXQ_OVFL adds a control message only if segments were dropped
		w.see(packet[:min(n, len(packet))])
	}
}

// see records the mark of one IP packet.
func (w *segmentWatch) see(packet []byte) {
	const synFlag = 0x02
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return
	}
	header := int(packet[0]&0xf) * 4
	if header < 20 || len(packet) < header+20 {
		return
	}
	src, _ := netip.AddrFromSlice(packet[12:16])
	peer := netip.AddrPortFrom(src, binary.BigEndian.Uint16(packet[header:]))
	if packet[header+13]&synFlag != 0 { // a new flow from this port
		delete(w.flows, peer)
		return
	}
	s := w.flows[peer]
	if s == nil {
		if len(w.flows) >= mostFlows && !w.expire() {
			w.lost = true
			return
		}
		s = &segments{since: time.Now()}
		w.flows[peer] = s
	}
	if cp := dscp.FromTOS(packet[1]); !slices.Contains(s.marks, cp) {
		s.marks = append(s.marks, cp)
	}
}

// expire deletes old flows, and reports whether there were any.
func (w *segmentWatch) expire() bool {
	before := len(w.flows)
	for peer, s := range w.flows {
		if time.Since(s.since) > flowLife {
			delete(w.flows, peer)
		}
	}
	return len(w.flows) < before
}

// forget deletes the flow of a client that has closed: another may use its port.
func (w *segmentWatch) forget(peer netip.AddrPort) {
	if w == nil {
		return
	}
	w.marks(peer)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.flows, peer)
}

func (w *segmentWatch) close() {
	if w != nil {
		w.conn.Close()
	}
}
