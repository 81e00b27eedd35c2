package dscp

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// refuseMPTCP returns an error for a Multipath TCP socket. Linux cannot mark
// IPv6 on them, and marks on IPv4 hold for the first subflow's family only.
func refuseMPTCP(network string, cp CodePoint, c syscall.RawConn) error {
	if !isTCP(network) {
		return nil
	}
	proto, err := getInt(c, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || proto != unix.IPPROTO_MPTCP {
		return nil
	}
	return &UnsupportedError{OS: host.os, Network: network, Option: "IPPROTO_MPTCP", CodePoint: cp, Err: unix.EOPNOTSUPP}
}

// hasNone reports whether a socket that would not tell what opt holds has no such
// option: it is a Multipath TCP socket, or no socket of the family has it.
func hasNone(c syscall.RawConn, opt option) bool {
	proto, err := getInt(c, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err == nil && proto == unix.IPPROTO_MPTCP {
		return true
	}
	none := false
	err = onScratchSocket(opt == trafficClass, func(fd uintptr) error {
		_, err := opt.get(heldFD(fd))
		none = unsupported(err)
		return nil
	})
	return err == nil && none
}

// saveSYN asks the kernel to keep the headers of the SYNs that a listener
// receives. It is for PeerDSCP only, which can say that it does not know, so a
// failure is not an error.
func saveSYN(c syscall.RawConn) {
	_ = c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, 1)
	})
}

// A synGetter reads one saved SYN after another. It has its closure made once.
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

// savedSYN returns the TOS or Traffic Class octet of the SYN that made an
// accepted socket. The kernel gives it out once.
func savedSYN(c syscall.RawConn) (octet uint8, ok bool) {
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

// octetOfSYN reads the octet in an IP header that ends before its first zero
// byte, as GetsockoptString has it. Nothing but the second byte is needed, so
// where it is missing it was zero.
func octetOfSYN(header string) (octet uint8, ok bool) {
	if header == "" {
		return 0, false
	}
	var second byte
	if len(header) > 1 {
		second = header[1]
	}
	switch header[0] >> 4 {
	case 4:
		return second, true
	case 6:
		return header[0]<<4 | second>>4, true
	}
	return 0, false
}
