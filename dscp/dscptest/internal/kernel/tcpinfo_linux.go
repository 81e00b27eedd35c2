package kernel

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An infoReader reads how much has arrived on a connection (TCP_INFO).
type infoReader struct {
	raw  syscall.RawConn
	read func(fd uintptr)
	got  *infoResult
}

type infoResult struct {
	info unix.TCPInfo
	err  error
}

func newInfoReader(raw syscall.RawConn) infoReader {
	got := new(infoResult)
	return infoReader{raw: raw, got: got, read: func(fd uintptr) {
		_, got.err = getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_INFO, unsafe.Pointer(&got.info), uint32(unsafe.Sizeof(got.info)))
	}}
}

func (r infoReader) position() (Position, bool) {
	if err := r.raw.Control(r.read); err != nil || r.got.err != nil {
		return Position{}, false
	}
	return Position{Bytes: int64(r.got.info.Bytes_received), Segments: r.got.info.Segs_in}, true
}
