package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/testns"
)

// The ring that the kernel writes captured packets into. Memory of its own,
// unlike a socket buffer, is not limited by net.core.rmem_max, which only root
// of the whole machine may exceed.
const (
	frameSize  = 256 // the frame's header and Snap octets
	blockSize  = 64 << 10
	blockCount = 512 // for 131,072 packets
)

// patience is how long Until waits for a packet that does not come.
const patience = 20 * time.Second

// A Capture records the TCP and UDP packets of an interface. Its methods are for
// the test's own goroutine.
type Capture struct {
	tb   testing.TB
	file *os.File
	ring []byte
	done chan struct{} // closed when read has returned
	wake chan struct{} // holds a token when packets came since the last look

	next int // the first packet that no Until has shown

	mu      sync.Mutex
	drained int      // how many frames the kernel has got back
	packets []Packet // only ever appended to
}

// Start captures on an interface of the calling thread's namespace, which
// needs the rights of root in that namespace (see [testns.Inside]): each
// packet to or from one of the ports, or each if none is given, once. The
// capture runs from now until Stop or the end of the test, and a packet that
// it had to drop fails the test.
func Start(tb testing.TB, iface string, ports ...uint16) *Capture {
	tb.Helper()
	return start(tb, blockCount, iface, ports)
}

func start(tb testing.TB, blocks int, iface string, ports []uint16) *Capture {
	tb.Helper()
	c := &Capture{tb: tb, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	if err := c.open(blocks, iface, ports); err != nil {
		if errors.Is(err, os.ErrPermission) {
			testns.Lacks(tb, "capturing on %s: %v", iface, err)
		}
		tb.Fatalf("capturing on %s: %v", iface, err)
	}
	go c.read()
	tb.Cleanup(func() { c.Stop() })
	return c
}

func (c *Capture) open(blocks int, iface string, ports []uint16) error {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	// Protocol 0: nothing is captured before the filter is there and bind
	// names protocol and interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket(AF_PACKET)", err)
	}
	c.file = os.NewFile(uintptr(fd), "capture on "+iface)
	if err := c.prepare(fd, blocks, link, ports); err != nil {
		return errors.Join(err, c.file.Close())
	}
	return nil
}

func (c *Capture) prepare(fd, blocks int, link *net.Interface, ports []uint16) error {
	filter, err := filter(ports)
	if err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return os.NewSyscallError("setsockopt(SO_ATTACH_FILTER)", err)
	}
	if link.Flags&net.FlagLoopback != 0 {
		// Loopback shows a packet when it leaves and when it arrives.
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return os.NewSyscallError("setsockopt(PACKET_IGNORE_OUTGOING)", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return os.NewSyscallError("setsockopt(PACKET_VERSION)", err)
	}
	req := unix.TpacketReq{Block_size: blockSize, Block_nr: uint32(blocks), Frame_size: frameSize}
	req.Frame_nr = req.Block_nr * (blockSize / frameSize)
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return os.NewSyscallError("setsockopt(PACKET_RX_RING)", err)
	}
	if c.ring, err = unix.Mmap(fd, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap", err)
	}
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}) // in network byte order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}); err != nil {
		return errors.Join(os.NewSyscallError("bind", err), unix.Munmap(c.ring))
	}
	return nil
}

// filter builds the classic BPF program that lets the first Snap octets of TCP
// and UDP packets to or from the ports through. On a SOCK_DGRAM packet socket
// it sees packets from their IP header on.
func filter(ports []uint16) ([]unix.SockFilter, error) {
	// Every test jumps over what is left when it fails, so the program is
	// built from its end.
	accept := []bpf.Instruction{bpf.RetConstant{Val: Snap}}
	reject := []bpf.Instruction{bpf.RetConstant{Val: 0}}
	match := func(load ...bpf.Instruction) []bpf.Instruction {
		var program []bpf.Instruction
		for _, ld := range load {
			program = append(program, ld)
			for _, port := range ports {
				program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: 1})
				program = append(program, accept...)
			}
		}
		if len(ports) == 0 {
			return accept
		}
		return append(program, reject...)
	}
	v4 := append([]bpf.Instruction{bpf.LoadMemShift{Off: 0}}, match(
		bpf.LoadIndirect{Off: 0, Size: 2}, bpf.LoadIndirect{Off: 2, Size: 2})...)
	v6 := match(bpf.LoadAbsolute{Off: 40, Size: 2}, bpf.LoadAbsolute{Off: 42, Size: 2})

	proto := func(off uint32, then []bpf.Instruction) []bpf.Instruction {
		return append([]bpf.Instruction{
			bpf.LoadAbsolute{Off: off, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(TCP), SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(UDP), SkipTrue: 1},
			reject[0],
		}, then...)
	}
	v4, v6 = proto(9, v4), proto(6, v6)
	if len(v4) > 255 {
		return nil, fmt.Errorf("a filter cannot jump over %d ports", len(ports))
	}
	program := append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: uint8(len(v4)) + 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: 1},
		reject[0],
	}, append(v4, v6...)...)
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, err
	}
	var out []unix.SockFilter
	for _, i := range raw {
		out = append(out, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	return out, nil
}

// read moves packets from the ring to c.packets until the file is closed.
func (c *Capture) read() {
	defer close(c.done)
	conn, err := c.file.SyscallConn()
	if err != nil {
		c.tb.Errorf("capture: %v", err)
		return
	}
	frame := 0
	// The closure runs again whenever the poller says that the ring has
	// something, and returns false to wait for that. The error is the one of
	// Stop's Close.
	_ = conn.Read(func(uintptr) bool {
		frame = c.drain(frame)
		return false
	})
	c.drain(frame) // what came before Close
}

// drain takes the packets that the kernel has put into the ring, from the
// given frame on, and returns the frame after them.
func (c *Capture) drain(frame int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		b := c.ring[frame*frameSize : (frame+1)*frameSize]
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&b[0]))
		if atomic.LoadUint32(&h.Status)&unix.TP_STATUS_USER == 0 {
			break
		}
		if p, ok := Parse(b[h.Net:uint32(h.Net)+h.Snaplen], int(h.Len)); ok {
			c.packets = append(c.packets, p)
		}
		atomic.StoreUint32(&h.Status, unix.TP_STATUS_KERNEL)
		c.drained++
		frame = (frame + 1) % (len(c.ring) / frameSize)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return frame
}

// Packets returns what was captured so far, in the order of the wire. The caller
// must not change it.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.packets)
}

// Until shows done each packet once, in order, the past ones first, waits for
// more while done returns false, and returns those that it has shown. The next
// Until goes on with the packet after. If the packet that done waits for does
// not come, the test fails.
func (c *Capture) Until(done func(Packet) bool) []Packet {
	c.tb.Helper()
	late := time.After(patience)
	first := c.next
	for {
		if c.look(done) {
			return c.Packets()[first:c.next]
		}
		select {
		case <-c.wake:
		case <-late:
			c.tb.Fatalf("the packet that was waited for did not come; seen:\n%v", Text(c.Packets()))
		}
	}
}

func (c *Capture) look(done func(Packet) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.next < len(c.packets) {
		c.next++
		if done(c.packets[c.next-1]) {
			return true
		}
	}
	return false
}

// Stop ends the capture and returns all of it. A second call returns the same.
func (c *Capture) Stop() []Packet {
	c.tb.Helper()
	if c.ring != nil {
		c.close()
	}
	return c.Packets()
}

func (c *Capture) close() {
	c.tb.Helper()
	stats, err := c.stats()
	switch {
	case err != nil:
		c.tb.Errorf("capture: PACKET_STATISTICS: %v", err)
	case stats.Drops != 0:
		c.tb.Errorf("capture: %d of %d packets were dropped: nothing is proved", stats.Drops, stats.Packets)
	default:
		c.await(int(stats.Packets))
	}
	if err := c.file.Close(); err != nil {
		c.tb.Errorf("capture: %v", err)
	}
	<-c.done
	if err := unix.Munmap(c.ring); err != nil {
		c.tb.Errorf("capture: munmap: %v", err)
	}
	c.ring = nil
}

// await waits until n packets have been taken from the ring. Each processor fills
// frames by itself, and one that loses its time halfway hides what others have
// put behind it.
func (c *Capture) await(n int) {
	c.tb.Helper()
	late := time.After(patience)
	for {
		c.mu.Lock()
		drained := c.drained
		c.mu.Unlock()
		if drained >= n {
			return
		}
		select {
		case <-c.wake:
		case <-late:
			c.tb.Errorf("capture: %d of %d packets can be read: nothing is proved", drained, n)
			return
		}
	}
}

func (c *Capture) stats() (stats *unix.TpacketStats, err error) {
	conn, err := c.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := conn.Control(func(fd uintptr) {
		stats, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	return stats, errors.Join(cerr, err)
}
