package tos

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsMPTCP reports whether c is a Multipath TCP socket. Linux cannot mark IPv6 on
// such a socket, and a mark on IPv4 applies to the family of the first subflow.
func IsMPTCP(c syscall.RawConn) bool {
	protocol, err := GetInt(c, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	return err == nil && protocol == unix.IPPROTO_MPTCP
}

// SaveSYN makes the kernel keep the headers of the SYNs that a listener receives.
func SaveSYN(c syscall.RawConn) (err error) {
	cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, 1)
	})
	if cerr != nil {
		return cerr
	}
	return os.NewSyscallError("setsockopt", err)
}

// A synGetter reads one saved SYN after another. It makes its closure once.
type synGetter struct {
	header string
	read   func(fd uintptr)
}

var synGetters = sync.Pool{New: func() any {
	g := new(synGetter)
	g.read = func(fd uintptr) {
		g.header, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_SAVED_SYN)
	}
	return g
}}

// SavedSYN returns the TOS or Traffic Class octet of the SYN that made an accepted
// socket. The kernel returns each SYN once, and saves none that it has answered with a
// SYN cookie.
func SavedSYN(c syscall.RawConn) (octet uint8, ok bool) {
	g := synGetters.Get().(*synGetter)
	err := c.Control(g.read)
	header := g.header
	g.header = ""
	synGetters.Put(g)
	if err != nil {
		return 0, false
	}
	return octetOfSYN(header)
}

// octetOfSYN reads the octet in an IP header that GetsockoptString has cut at its first
// zero byte. It needs the first two bytes; if the second is missing, it was zero.
func octetOfSYN(header string) (octet uint8, ok bool) {
	if header == "" {
		return 0, false
	}
	var start [2]byte
	copy(start[:], header)
	return HeaderOctet(start[:])
}

// Reflects reports whether the kernel may answer each TCP connection in the mark of
// its SYN: it does, or ReadReflects fails.
func Reflects() bool {
	reflects, err := ReadReflects()
	return reflects || err != nil
}

// ReadReflects reports whether the kernel answers each TCP connection in the mark of
// its SYN, which the sysctl tcp_reflect_tos says for both families. Kernels that have
// no such sysctl do not.
func ReadReflects() (bool, error) {
	return readReflects("/proc/sys/net/ipv4/tcp_reflect_tos")
}

func readReflects(sysctl string) (bool, error) {
	b, err := os.ReadFile(sysctl)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return strings.TrimSpace(string(b)) == "1", err
}
