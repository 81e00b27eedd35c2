package dscptest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// A capture reads every TCP segment that arrives for a box off the wire
// (packet(7), which takes CAP_NET_RAW). Linux hands a packet to such a socket
// before it hands it to TCP, so that all segments whose payload the box has read
// are in the ring.
type capture struct {
	v6    bool
	mu    sync.Mutex
	fd    int
	ring  []byte // in frames, each with a status that the kernel and the box set in turn
	next  int    // the frame that the kernel fills next
	taps  map[route]*tap
	begun []route // the latest, whether claimed or not
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
}

const (
	ringFrames = 8192
	frameSize  = 256
	snapLength = 96 // both headers, options and all

	// maxBegun is how many SYNs may come before one is forgotten that never
	// became a connection.
	maxBegun = 8192
)

// openCapture captures what arrives for a box with this port before upstream.
func openCapture(v6 bool, port uint16, upstream netip.AddrPort) (*capture, error) {
	// Protocol 0: nothing is captured before the filter is there.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &optionError{"AF_PACKET", err}
	}
	c := &capture{v6: v6, fd: fd, taps: make(map[route]*tap)}
	if err := c.open(port, upstream); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *capture) open(port uint16, upstream netip.AddrPort) error {
	raw, err := bpf.Assemble(arriving(c.v6, port, upstream.Port()))
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

// arriving returns the filter for TCP segments to a port of the box's or from
// the upstream's.
func arriving(v6 bool, port, upstream uint16) []bpf.Instruction {
	protocol, header := uint32(9), []bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 2}, // fragments have no ports
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 5},
		bpf.LoadMemShift{Off: 0},
	}
	from, to := bpf.Instruction(bpf.LoadIndirect{Off: 0, Size: 2}), bpf.Instruction(bpf.LoadIndirect{Off: 2, Size: 2})
	if v6 {
		protocol, header = 6, nil
		from, to = bpf.LoadAbsolute{Off: 40, Size: 2}, bpf.LoadAbsolute{Off: 42, Size: 2}
	}
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: protocol, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: uint8(len(header) + 4)},
	}
	prog = append(prog, header...)
	return append(prog,
		from,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(upstream), SkipTrue: 3},
		to,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: snapLength},
	)
}

func (c *capture) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return nil
	}
	lost := c.lost()
	if c.ring != nil {
		unix.Munmap(c.ring)
		c.ring = nil
	}
	err := unix.Close(c.fd)
	c.fd = -1
	return errors.Join(lost, err)
}

// lost says how many segments found no place in the ring: a sensor that promises
// every segment has to own up. c.mu is held.
func (c *capture) lost() error {
	if c.ring == nil {
		return nil // it never began
	}
	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return &optionError{"PACKET_STATISTICS", err}
	}
	if stats.Drops > 0 {
		return fmt.Errorf("dscptest: %d of %d segments were not captured, and a change may have been missed", stats.Drops, stats.Packets)
	}
	return nil
}

// drain takes in all that has arrived. c.mu is held.
func (c *capture) drain() {
	for c.ring != nil {
		frame := c.ring[c.next*frameSize:][:frameSize]
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&frame[0]))
		if atomic.LoadUint32(&h.Status)&unix.TP_STATUS_USER == 0 {
			return
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
		if t == nil || t.isn != s.seq {
			c.add(s)
		}
		return
	}
	if t == nil {
		return // from before the box
	}
	offset := max(0, t.end+int64(int32(s.seq-(t.isn+1+uint32(t.end)))))
	if s.mark != t.mark {
		if len(t.news) < maxChanges {
			t.news = append(t.news, sight{mark: s.mark, from: offset, to: offset})
		}
		t.mark = s.mark
	}
	t.end = max(t.end, offset+int64(s.payload))
}

// add begins a tap, and forgets one that nobody claimed for a long time. c.mu is
// held.
func (c *capture) add(s segment) {
	if len(c.begun) >= maxBegun {
		if old := c.taps[c.begun[0]]; old != nil && !old.claimed {
			delete(c.taps, c.begun[0])
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
	t := c.taps[r]
	if t == nil {
		return nil, false
	}
	t.claimed = true
	return &captureProbe{capture: c, route: r, tap: t, shown: t.first, infos: newInfoReader(raw)}, true
}

// A captureProbe shows one change after the other.
type captureProbe struct {
	capture *capture
	route   route
	tap     *tap
	shown   dscp.CodePoint
	infos   infoReader
}

func (p *captureProbe) look() (dscp.CodePoint, bool) { return p.shown, true }

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
	p.shown = s.mark
	return s, true
}

// release forgets the tap of a connection that is over.
func (p *captureProbe) release() {
	p.capture.mu.Lock()
	defer p.capture.mu.Unlock()
	if p.capture.taps[p.route] == p.tap {
		delete(p.capture.taps, p.route)
	}
}

// unzoned returns an address as it stands in packets.
func unzoned(a net.Addr) netip.AddrPort {
	ap := addrPort(a)
	return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port())
}
