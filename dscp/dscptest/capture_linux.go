package dscptest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A capture reads every TCP segment that arrives for a box off the wire
// (packet(7), which takes CAP_NET_RAW). Linux hands a packet to such a socket
// before it hands it to TCP, so that all segments whose payload the box has read
// are in the ring. Whoever looks empties the ring first; so that it does not run
// over while nobody does, a goroutine empties it as well.
type capture struct {
	v6   bool
	port uint16 // the box's
	file *os.File
	stop chan struct{} // closed to end the goroutine
	done chan struct{} // closed by it

	mu      sync.Mutex
	fd      int    // of file; -1 once it is closed
	ring    []byte // in frames, each with a status that the kernel and the box set in turn
	next    int    // the frame that the kernel fills next
	taps    map[route]*tap
	begun   []route // the latest, whether claimed or not
	claimed int     // how many taps are
	gaps    bool    // there may be connections whose SYN is not known
	packets int     // that arrived, lost ones included
	missing int     // segments of the box's flows that were lost, or may have been among the lost ones
}

// A route is the one way of a connection.
type route struct{ from, to netip.AddrPort }

// A tap is what a capture has seen of one route, from its SYN on.
type tap struct {
	isn     uint32
	first   dscp.CodePoint // the mark of the SYN or SYN-ACK
	mark    dscp.CodePoint // the latest
	end     int64          // bytes of payload so far
	news    []sight        // changes that the box has not been shown
	claimed bool           // by a connection

	// Of a tap that began without its SYN:
	late  bool // nothing has been seen yet, and neither isn nor mark is known
	vague bool // an unknown part of the payload came before
}

const (
	ringFrames = 8192
	frameSize  = 256
	snapLength = 96 // both headers, options and all

	// maxBegun is how many SYNs may come before one is forgotten that never
	// became a connection.
	maxBegun = 8192

	// restTime is how long the goroutine that empties the ring rests after it
	// did, rather than be woken for each segment: not enough for a ring full.
	restTime = time.Millisecond
)

// openCapture captures what arrives for a box with this port before upstream.
func openCapture(v6 bool, port uint16, upstream netip.AddrPort) (*capture, error) {
	// Protocol 0: nothing is captured before the filter is there.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, &optionError{"AF_PACKET", err}
	}
	c := &capture{
		v6: v6, port: port, fd: fd, file: os.NewFile(uintptr(fd), "packet socket"),
		taps: make(map[route]*tap), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err = c.open(port, upstream); err == nil {
		var raw syscall.RawConn
		if raw, err = c.file.SyscallConn(); err == nil {
			go c.follow(raw)
			return c, nil
		}
	}
	close(c.done)
	c.close()
	return nil, err
}

// follow empties the ring whenever something has come, until c is closed.
func (c *capture) follow(raw syscall.RawConn) {
	defer close(c.done)
	rest := time.NewTimer(0)
	defer rest.Stop()
	raw.Read(func(uintptr) bool {
		c.mu.Lock()
		c.drain()
		c.mu.Unlock()
		rest.Reset(restTime)
		select {
		case <-rest.C:
			return false // wait for more
		case <-c.stop:
			return true
		}
	})
}

func (c *capture) open(port uint16, upstream netip.AddrPort) error {
	raw, err := bpf.Assemble(arriving(c.v6, port, upstream))
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, ins := range raw {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return &optionError{"SO_ATTACH_FILTER", err}
	}
	// Version 2 shows each frame at once; version 3 only when a block is full.
	if err := setInt(uintptr(c.fd), unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2, "PACKET_VERSION"); err != nil {
		return err
	}
	const blockSize = 64 << 10
	req := unix.TpacketReq{
		Block_size: blockSize, Block_nr: ringFrames * frameSize / blockSize,
		Frame_size: frameSize, Frame_nr: ringFrames,
	}
	if err := unix.SetsockoptTpacketReq(c.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return &optionError{"PACKET_RX_RING", err}
	}
	c.ring, err = unix.Mmap(c.fd, 0, ringFrames*frameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap of the packet ring: %w", err)
	}
	protocol := uint16(unix.ETH_P_IP)
	if c.v6 {
		protocol = unix.ETH_P_IPV6
	}
	protocol = binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, protocol)) // htons
	if err := unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: protocol}); err != nil {
		return fmt.Errorf("bind of the packet socket: %w", err)
	}
	return nil
}

// arriving returns the filter for TCP segments to the box, which listens on
// port of loopback, or from the upstream.
func arriving(v6 bool, port uint16, upstream netip.AddrPort) []bpf.Instruction {
	own, theirs := netip.AddrFrom4([4]byte{127, 0, 0, 1}), upstream.Addr().Unmap().WithZone("")
	protocol, header := uint32(9), []bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 2}, // fragments have no ports
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadMemShift{Off: 0},
	}
	from, to := bpf.Instruction(bpf.LoadIndirect{Off: 0, Size: 2}), bpf.Instruction(bpf.LoadIndirect{Off: 2, Size: 2})
	source, destination := uint32(12), uint32(16)
	if v6 {
		own, protocol, header = netip.IPv6Loopback(), 6, nil
		from, to = bpf.LoadAbsolute{Off: 40, Size: 2}, bpf.LoadAbsolute{Off: 42, Size: 2}
		source, destination = 8, 24
	}
	if theirs.IsUnspecified() {
		theirs = own // who dials it reaches that
	}
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: protocol, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	prog = append(prog, header...)
	prog = append(prog, takes(from, upstream.Port(), source, theirs)...)
	prog = append(prog, takes(to, port, destination, own)...)
	return append(prog, bpf.RetConstant{Val: 0})
}

// takes returns instructions that take a packet with this port, which load
// fetches, and this address at offset at. Other packets go on behind them.
func takes(load bpf.Instruction, port uint16, at uint32, addr netip.Addr) []bpf.Instruction {
	b := addr.AsSlice()
	words := len(b) / 4
	prog := []bpf.Instruction{
		load,
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(port), SkipTrue: uint8(2*words + 1)},
	}
	for i := range words {
		prog = append(prog,
			bpf.LoadAbsolute{Off: at + uint32(4*i), Size: 4},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(b[4*i:]), SkipTrue: uint8(2*(words-i) - 1)})
	}
	return append(prog, bpf.RetConstant{Val: snapLength})
}

func (c *capture) close() error {
	c.mu.Lock()
	if c.fd < 0 {
		c.mu.Unlock()
		return nil
	}
	var lost error
	if c.ring != nil { // else it never began
		c.drain()
		lost = errors.Join(c.settle(), c.lost())
		unix.Munmap(c.ring)
		c.ring = nil
	}
	c.fd = -1
	c.mu.Unlock()
	close(c.stop)
	err := c.file.Close()
	<-c.done
	return errors.Join(lost, err)
}

// settle takes stock of the segments that found no place in the ring, since it
// did last: they count where there was a flow to which they may have belonged.
// c.mu is held.
func (c *capture) settle() error {
	if c.fd < 0 {
		return nil
	}
	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return &optionError{"PACKET_STATISTICS", err}
	}
	c.packets += int(stats.Packets)
	if stats.Drops > 0 {
		c.gaps = true
		if c.busy() {
			c.missing += int(stats.Drops)
		}
	}
	return nil
}

// busy reports whether there are flows of the box's, or clients that have yet
// to be accepted. The upstream has other clients too: what it sends to those is
// nobody's loss. c.mu is held.
func (c *capture) busy() bool {
	if c.claimed > 0 {
		return true
	}
	for r := range c.taps {
		if r.to.Port() == c.port {
			return true
		}
	}
	return false
}

// lost says how many segments of the box's flows were not seen: a sensor that
// promises every segment has to own up. c.mu is held.
func (c *capture) lost() error {
	if c.missing == 0 {
		return nil
	}
	return fmt.Errorf("dscptest: %d of %d segments were not captured, and a change may have been missed", c.missing, c.packets)
}

// drain takes in all that has arrived. c.mu is held.
func (c *capture) drain() {
	for c.ring != nil {
		frame := c.ring[c.next*frameSize:][:frameSize]
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&frame[0]))
		status := atomic.LoadUint32(&h.Status)
		if status&unix.TP_STATUS_USER == 0 {
			return
		}
		if status&unix.TP_STATUS_LOSING != 0 {
			c.settle() // before this one came
		}
		if at, n := int(h.Net), int(h.Snaplen); at+n <= len(frame) {
			c.take(frame[at : at+n])
		}
		atomic.StoreUint32(&h.Status, unix.TP_STATUS_KERNEL)
		c.next = (c.next + 1) % ringFrames
	}
}

// take takes in one packet. c.mu is held.
func (c *capture) take(b []byte) {
	s, ok := parseSegment(b)
	if !ok || s.flags&flagRST != 0 {
		return // a reset of a connection that is gone carries its peer's mark
	}
	t := c.taps[s.route]
	if s.flags&flagSYN != 0 {
		if t == nil || t.isn != s.seq && !t.late {
			c.add(s)
		}
		return
	}
	if t == nil {
		return // from before the box
	}
	if t.late {
		t.late = false
		t.isn = s.seq - 1 - uint32(t.end)
		t.first, t.mark = s.mark, s.mark
		t.news = append(t.news, t.sight(s.mark, t.end))
	}
	offset := max(0, t.end+int64(int32(s.seq-(t.isn+1+uint32(t.end)))))
	if s.mark != t.mark {
		if len(t.news) < maxChanges {
			t.news = append(t.news, t.sight(s.mark, offset))
		}
		t.mark = s.mark
	}
	t.end = max(t.end, offset+int64(s.payload))
}

// sight returns what the box is to be shown of a change at offset.
func (t *tap) sight(cp dscp.CodePoint, offset int64) sight {
	if t.vague {
		return sight{mark: cp, to: offset}
	}
	return sight{mark: cp, from: offset, to: offset}
}

// add begins a tap, and forgets one that nobody claimed for a long time. c.mu is
// held.
func (c *capture) add(s segment) {
	if len(c.begun) >= maxBegun {
		if old := c.taps[c.begun[0]]; old != nil && !old.claimed {
			delete(c.taps, c.begun[0])
			c.gaps = true
		}
		c.begun = c.begun[1:]
	}
	c.begun = append(c.begun, s.route)
	c.taps[s.route] = &tap{isn: s.seq, first: s.mark, mark: s.mark}
}

// probe claims the tap of what arrives on a connection.
func (c *capture) probe(conn *net.TCPConn) (probe, bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, false
	}
	r := route{unzoned(conn.RemoteAddr()), unzoned(conn.LocalAddr())}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain()
	infos := newInfoReader(raw)
	t := c.taps[r]
	if c.claimed == 0 || t == nil {
		c.settle()
	}
	if t == nil {
		if t = c.addLate(r, infos); t == nil {
			return nil, false
		}
	}
	t.claimed = true
	c.claimed++
	return &captureProbe{capture: c, route: r, tap: t, shown: t.first, unseen: t.late, infos: infos}, true
}

// addLate begins the tap of a connection whose SYN was lost, with what comes
// next. It returns nil if nothing was lost: then the capture does not see this
// connection at all, which something rewrites perhaps. c.mu is held.
func (c *capture) addLate(r route, infos infoReader) *tap {
	if !c.gaps {
		return nil
	}
	at, ok := infos.position()
	if !ok {
		return nil
	}
	// The mark of a client's SYN was saved, and the acknowledgement after it
	// has none of its own; that of a SYN-ACK may have been foretold. Whatever
	// else has come was missed.
	handshake := uint32(1)
	if r.to.Port() == c.port {
		handshake = 2
	}
	if at.segments > handshake {
		c.missing += int(at.segments - handshake)
	}
	t := &tap{late: true, vague: at.bytes > 0, end: at.bytes}
	c.taps[r] = t
	return t
}

// A captureProbe shows one change after the other.
type captureProbe struct {
	capture *capture
	route   route
	tap     *tap
	shown   dscp.CodePoint
	unseen  bool // nothing has been shown: the SYN was lost
	infos   infoReader
}

func (p *captureProbe) look() (dscp.CodePoint, bool) {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	if p.unseen {
		p.capture.drain()
		if len(p.tap.news) == 0 {
			return 0, false
		}
		return p.tap.news[0].mark, true
	}
	return p.shown, true
}

func (p *captureProbe) position() (position, bool) { return p.infos.position() }

func (p *captureProbe) next() (sight, bool) {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	p.capture.drain()
	if len(p.tap.news) == 0 {
		return sight{}, false
	}
	s := p.tap.news[0]
	p.tap.news = p.tap.news[1:]
	p.shown, p.unseen = s.mark, false
	return s, true
}

// release forgets the tap of a connection that is over.
func (p *captureProbe) release() {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	if p.capture.claimed == 1 { // later losses are no flow's
		p.capture.drain()
		p.capture.settle()
	}
	p.capture.claimed--
	if p.capture.taps[p.route] == p.tap {
		delete(p.capture.taps, p.route)
	}
}

// unzoned returns an address as it stands in packets.
func unzoned(a net.Addr) netip.AddrPort {
	ap := addrPort(a)
	return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port())
}
