package packet

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	frameSize  = 256 // the frame's own header and SnapLength octets
	blockSize  = 64 << 10
	maxFilling = 32 // how many processors fill frames at the same time, at most

	// addressOffset is the offset in a frame of the address that recvfrom would
	// return, after the header (TPACKET_ALIGN).
	addressOffset = (unix.SizeofTpacket2Hdr + 15) &^ 15
)

// A RingConfig says what a [Ring] captures.
type RingConfig struct {
	Frames    int               // how many packets the ring holds, a multiple of 256
	Filter    []bpf.Instruction // sees packets from the IP header on; nil takes all
	Interface int               // the index of an interface; 0 means all of them
	Incoming  bool              // captures only what arrives; before Linux 4.20 it has no effect
}

// A Ring holds the packets of this network namespace that its filter accepts, until
// they are read (packet(7), which needs CAP_NET_RAW). Linux puts a packet there before
// TCP gets it. Unlike a socket buffer, the ring is not limited by net.core.rmem_max.
// Read, Stats and Unmap must not be called by several goroutines at once.
type Ring struct {
	fd     int
	file   *os.File // owns fd
	raw    syscall.RawConn
	frames []byte // each with a status that the kernel and the reader set in turn
	count  int    // how many frames there are
	next   int    // the frame that the kernel fills next
}

// OpenRing opens a ring. The caller has to close and unmap it.
func OpenRing(c RingConfig) (*Ring, error) {
	// With protocol 0 the socket captures nothing before it has its filter.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket(AF_PACKET)", err)
	}
	r := &Ring{fd: fd, file: os.NewFile(uintptr(fd), "packet socket"), count: c.Frames}
	if err = r.open(c); err == nil {
		if r.raw, err = r.file.SyscallConn(); err == nil {
			return r, nil
		}
	}
	r.Unmap()
	r.file.Close()
	return nil, err
}

func (r *Ring) open(c RingConfig) error {
	if c.Incoming {
		// Before Linux 4.20 the ring has a packet on loopback twice: when it leaves and
		// when it arrives.
		_ = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if c.Filter != nil {
		if err := Attach(r.fd, unix.SO_ATTACH_FILTER, c.Filter); err != nil {
			return os.NewSyscallError("setsockopt(SO_ATTACH_FILTER)", err)
		}
	}
	// With version 2 each frame can be read at once, with version 3 only when a
	// block is full.
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return os.NewSyscallError("setsockopt(PACKET_VERSION)", err)
	}
	req := unix.TpacketReq{
		Block_size: blockSize, Block_nr: uint32(r.count * frameSize / blockSize),
		Frame_size: frameSize, Frame_nr: uint32(r.count),
	}
	if err := unix.SetsockoptTpacketReq(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return os.NewSyscallError("setsockopt(PACKET_RX_RING)", err)
	}
	var err error
	r.frames, err = unix.Mmap(r.fd, 0, r.count*frameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap of the packet ring: %w", err)
	}
	// A socket for one protocol gets a packet after IP on Linux 6.18, a socket for
	// all protocols before IP.
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)) // htons
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: c.Interface}); err != nil {
		return fmt.Errorf("bind of the packet socket: %w", err)
	}
	return nil
}

// Attach attaches a classic BPF program to a socket, by an option of SOL_SOCKET.
func Attach(fd, option int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, ins := range raw {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, option, &prog)
}

// Wait calls arrived whenever there may be packets to read, until arrived returns
// false or the ring is closed.
func (r *Ring) Wait(arrived func() bool) {
	// The only error is that the ring is closed.
	_ = r.raw.Read(func(uintptr) bool { return !arrived() })
}

// A Capture is one packet in a ring.
type Capture struct {
	Data      []byte // from the IP header on, cut off after the headers; valid until the function that Read calls returns
	Length    int    // of the whole packet
	Interface int    // the index of the interface
}

// Read calls take with each packet that has arrived. If the ring had no room for some
// packets, it calls lost before the first packet after them.
func (r *Ring) Read(take func(Capture), lost func()) {
	for r.frames != nil {
		frame, h := r.Frame(0)
		status := atomic.LoadUint32(&h.Status)
		if status&unix.TP_STATUS_USER == 0 {
			if !r.overtaken() {
				return
			}
			runtime.Gosched()
			continue
		}
		if status&unix.TP_STATUS_LOSING != 0 {
			lost()
		}
		if at, n := int(h.Net), int(h.Snaplen); at+n <= len(frame) {
			from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&frame[addressOffset]))
			take(Capture{Data: frame[at : at+n], Length: int(h.Len), Interface: int(from.Ifindex)})
		}
		atomic.StoreUint32(&h.Status, unix.TP_STATUS_KERNEL)
		r.next = (r.next + 1) % r.count
	}
}

// overtaken reports whether a processor is still filling the next frame while another
// has filled one behind it. Read waits for the slower processor then, because TCP
// already has the packet of the faster one.
func (r *Ring) overtaken() bool {
	for i := 1; i <= maxFilling; i++ {
		if _, h := r.Frame(i); atomic.LoadUint32(&h.Status)&unix.TP_STATUS_USER != 0 {
			return true
		}
	}
	return false
}

// Frame returns the frame i places behind the next one, and its header. It is exported
// for tests.
func (r *Ring) Frame(i int) ([]byte, *unix.Tpacket2Hdr) {
	b := r.frames[(r.next+i)%r.count*frameSize:][:frameSize]
	return b, (*unix.Tpacket2Hdr)(unsafe.Pointer(&b[0]))
}

// Stats returns how many packets have arrived since the last call, and for how many of
// them the ring had no room.
func (r *Ring) Stats() (arrived, dropped int, err error) {
	s, err := unix.GetsockoptTpacketStats(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt(PACKET_STATISTICS)", err)
	}
	return int(s.Packets), int(s.Drops), nil
}

// Unmap releases the memory of the ring. Afterwards Read finds nothing.
func (r *Ring) Unmap() error {
	if r.frames == nil {
		return nil
	}
	err := unix.Munmap(r.frames)
	r.frames = nil
	return os.NewSyscallError("munmap", err)
}

// Close closes the socket and ends Wait. The memory stays until Unmap.
func (r *Ring) Close() error { return r.file.Close() }
