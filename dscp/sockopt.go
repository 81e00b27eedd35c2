package dscp

import (
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// rawSocket lets x/net's ipv4 and ipv6 packages work on a socket that is not
// connected yet. They ask for a net.Conn but use only its SyscallConn, and tell
// TCP by SetLinger, which they never call; for the two options here the kind of
// socket makes no difference to them.
type rawSocket struct {
	net.Conn
	raw syscall.RawConn
}

func (s rawSocket) SyscallConn() (syscall.RawConn, error) { return s.raw, nil }
func (s rawSocket) SetLinger(int) error                   { return syscall.EINVAL }

// get reads the octet that o holds.
func (o option) get(raw syscall.RawConn) (uint8, error) {
	var v int
	var err error
	if o == ipTOS {
		v, err = ipv4.NewConn(rawSocket{raw: raw}).TOS()
	} else {
		v, err = ipv6.NewConn(rawSocket{raw: raw}).TrafficClass()
	}
	return uint8(v), err
}

// set writes the octet that o holds.
func (o option) set(raw syscall.RawConn, octet uint8) error {
	if o == ipTOS {
		return ipv4.NewConn(rawSocket{raw: raw}).SetTOS(int(octet))
	}
	return ipv6.NewConn(rawSocket{raw: raw}).SetTrafficClass(int(octet))
}

// heldFD is a RawConn for use inside a Control, Read or Write closure of the
// real one, which keeps the descriptor open meanwhile.
type heldFD uintptr

func (fd heldFD) Control(f func(uintptr)) error {
	f(uintptr(fd))
	return nil
}

func (fd heldFD) Read(func(uintptr) bool) error  { return syscall.EINVAL }
func (fd heldFD) Write(func(uintptr) bool) error { return syscall.EINVAL }
