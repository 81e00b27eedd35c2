package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"github.com/godscp/godscp/internal/packet"
	"github.com/godscp/godscp/internal/testns"
)

// captureFrames is how many packets a ring holds until they are read.
const captureFrames = 131072

// patience is how long Until waits for a packet that does not come.
const patience = 20 * time.Second

// A Capture records the TCP and UDP packets of an interface. Its methods must be called
// by the goroutine of the test.
type Capture struct {
	tb   testing.TB
	ring *packet.Ring  // nil once closed
	done chan struct{} // closed when read has returned
	wake chan struct{} // holds a token if packets came since it was last received

	next int // the first packet that no Until has passed to its function

	mu      sync.Mutex
	drained int      // how many frames were read
	packets []Packet // only ever appended to
}

// Start captures on an interface of the calling thread's namespace. It needs the
// rights of root in that namespace (see [testns.Inside]). It captures each packet to
// or from one of the ports once, or each packet if there are no ports. The capture
// runs from now until Stop or the end of the test. If it had to drop a packet, the
// test fails.
func Start(tb testing.TB, iface string, ports ...uint16) *Capture {
	tb.Helper()
	return start(tb, captureFrames, iface, ports)
}

func start(tb testing.TB, frames int, iface string, ports []uint16) *Capture {
	tb.Helper()
	c := &Capture{tb: tb, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	if err := c.open(frames, iface, ports); err != nil {
		if errors.Is(err, os.ErrPermission) {
			testns.Lacks(tb, "capturing on %s: %v", iface, err)
		}
		tb.Fatalf("capturing on %s: %v", iface, err)
	}
	go c.read()
	tb.Cleanup(func() { c.Stop() })
	return c
}

func (c *Capture) open(frames int, iface string, ports []uint16) error {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	filter, err := filter(ports)
	if err != nil {
		return err
	}
	c.ring, err = packet.OpenRing(packet.RingConfig{
		Frames: frames, Filter: filter, Interface: link.Index,
		// Loopback shows a packet when it leaves and when it arrives.
		Incoming: link.Flags&net.FlagLoopback != 0,
	})
	return err
}

// filter builds the classic BPF program that accepts the headers of TCP and UDP
// packets to or from the ports. It sees packets from their IP header on.
func filter(ports []uint16) ([]bpf.Instruction, error) {
	// A comparison that fails jumps over instructions, so those must be known:
	// the program is built from its end.
	accept := []bpf.Instruction{bpf.RetConstant{Val: packet.SnapLength}}
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
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(packet.TCP), SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(packet.UDP), SkipTrue: 1},
			reject[0],
		}, then...)
	}
	v4, v6 = proto(9, v4), proto(6, v6)
	if len(v4) > 255 {
		return nil, fmt.Errorf("a filter cannot have %d ports", len(ports))
	}
	// A super-segment above 64 KiB has one more header, of hop-by-hop options.
	jumbo := append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 40, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(packet.TCP), SkipTrue: 1},
		reject[0],
	}, match(bpf.LoadAbsolute{Off: 48, Size: 2}, bpf.LoadAbsolute{Off: 50, Size: 2})...)
	v6 = append(append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: uint8(len(jumbo))},
	}, jumbo...), v6...)
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: uint8(len(v4)) + 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: 1},
		reject[0],
	}, append(v4, v6...)...), nil
}

// read moves packets from the ring to c.packets until the ring is closed.
func (c *Capture) read() {
	defer close(c.done)
	c.ring.Wait(func() bool {
		c.drain()
		return true
	})
	c.drain() // what came before the ring was closed
}

// drain takes the packets that the kernel has put into the ring.
func (c *Capture) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring.Read(func(r packet.Capture) {
		if p, ok := packet.Parse(r.Data, r.Length); ok && !p.Fragment {
			c.packets = append(c.packets, p)
		}
		c.drained++
	}, func() {}) // Stop reads how many were lost
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Packets returns what was captured so far, in the order in which it was sent. The
// caller must not change it.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.packets)
}

// Until calls done with each packet, in order, beginning with the first that no Until
// has passed to its function. It waits for more packets until done returns true, and
// returns the packets that it has passed to done. If done does not return true in time,
// the test fails.
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
			c.tb.Fatalf("no packet has met the condition within %v; captured:\n%v", patience, Text(c.Packets()))
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
	arrived, dropped, err := c.ring.Stats()
	switch {
	case err != nil:
		c.tb.Errorf("capture: %v", err)
	case dropped != 0:
		c.tb.Errorf("capture: %d of %d packets were dropped, so the test proves nothing", dropped, arrived)
	default:
		c.await(arrived)
	}
	if err := c.ring.Close(); err != nil {
		c.tb.Errorf("capture: %v", err)
	}
	<-c.done
	if err := c.ring.Unmap(); err != nil {
		c.tb.Errorf("capture: %v", err)
	}
	c.ring = nil
}

// await waits until n packets have been read from the ring. A processor that is
// descheduled while it fills a frame keeps the frames behind it from being read.
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
			c.tb.Errorf("capture: %d of %d packets can be read, so the test proves nothing", drained, n)
			return
		}
	}
}
