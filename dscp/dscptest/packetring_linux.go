package dscptest

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
	ringFrames = 8192
	frameSize  = 256
	snapLength = 96 // both headers, options and all
	maxFilling = 32 // processors that fill frames at the same time
)

// A packetRing holds the packets that have arrived in this network namespace and
// that its filter takes, until they are read (packet(7), which takes
// CAP_NET_RAW). Linux puts a packet there before it hands it to TCP. The ring is
// not for use by several goroutines at once.
type packetRing struct {
	fd     int
	file   *os.File // has fd
	raw    syscall.RawConn
	frames []byte // each with a status that the kernel and the reader set in turn
	next   int    // the frame that the kernel fills next
}

// openPacketRing opens a ring for the packets of one family that filter takes.
func openPacketRing(v6 bool, filter []bpf.Instruction) (*packetRing, error) {
	// Protocol 0: nothing is captured before the filter is there.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket(AF_PACKET)", err)
	}
	r := &packetRing{fd: fd, file: os.NewFile(uintptr(fd), "packet socket")}
	if err = r.open(v6, filter); err == nil {
		if r.raw, err = r.file.SyscallConn(); err == nil {
			return r, nil
		}
	}
	r.unmap()
	r.file.Close()
	return nil, err
}

func (r *packetRing) open(v6 bool, filter []bpf.Instruction) error {
	// Before Linux 4.20 loopback shows what leaves as well: the same once more.
	_ = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err := attach(uintptr(r.fd), unix.SO_ATTACH_FILTER, ofFamily(v6, filter), "SO_ATTACH_FILTER"); err != nil {
		return err
	}
	// Version 2 shows each frame at once; version 3 only when a block is full.
	if err := setInt(uintptr(r.fd), unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2, "PACKET_VERSION"); err != nil {
		return err
	}
	const blockSize = 64 << 10
	req := unix.TpacketReq{
		Block_size: blockSize, Block_nr: ringFrames * frameSize / blockSize,
		Frame_size: frameSize, Frame_nr: ringFrames,
	}
	if err := unix.SetsockoptTpacketReq(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return &optionError{"PACKET_RX_RING", err}
	}
	var err error
	r.frames, err = unix.Mmap(r.fd, 0, ringFrames*frameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap of the packet ring: %w", err)
	}
	// To a socket of one protocol Linux 6.18 shows a packet after IP has had it;
	// to one of all protocols, before.
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)) // htons
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: protocol}); err != nil {
		return fmt.Errorf("bind of the packet socket: %w", err)
	}
	return nil
}

// read hands over all packets that have arrived, from the IP header on and cut
// off behind the TCP header. It calls lost before the first packet that came
// after some had found no place.
func (r *packetRing) read(take func([]byte), lost func()) {
	for r.frames != nil {
		frame, h := r.frame(0)
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
			take(frame[at : at+n])
		}
		atomic.StoreUint32(&h.Status, unix.TP_STATUS_KERNEL)
		r.next = (r.next + 1) % ringFrames
	}
}

// overtaken reports whether the next frame is being filled while one behind it
// has been: each processor fills its own, and one that loses its time meanwhile
// must not hide what another has handed to TCP since.
func (r *packetRing) overtaken() bool {
	for i := 1; i <= maxFilling; i++ {
		if _, h := r.frame(i); atomic.LoadUint32(&h.Status)&unix.TP_STATUS_USER != 0 {
			return true
		}
	}
	return false
}

// frame returns the frame that is i behind the next.
func (r *packetRing) frame(i int) ([]byte, *unix.Tpacket2Hdr) {
	b := r.frames[(r.next+i)%ringFrames*frameSize:][:frameSize]
	return b, (*unix.Tpacket2Hdr)(unsafe.Pointer(&b[0]))
}

// stats returns how many packets have arrived since it was called last, and how
// many of these found no place.
func (r *packetRing) stats() (arrived, dropped int, err error) {
	s, err := unix.GetsockoptTpacketStats(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt(PACKET_STATISTICS)", err)
	}
	return int(s.Packets), int(s.Drops), nil
}

// unmap ends reading: no frame is there any more.
func (r *packetRing) unmap() error {
	if r.frames == nil {
		return nil
	}
	err := unix.Munmap(r.frames)
	r.frames = nil
	return err
}
