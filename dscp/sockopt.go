package dscp

import (
	"net"
	"sync"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A via lets x/net's ipv4 and ipv6 packages work on a socket that is not
// connected yet. They ask for a net.Conn but use only its SyscallConn, and tell
// TCP by SetLinger, which they never call; for the two options here the kind of
// socket makes no difference to them. What they make of it is kept, so it serves
// one socket after another.
type via struct {
	net.Conn
	socket struct{ syscall.RawConn } // the one at hand

	v4 *ipv4.Conn
	v6 *ipv6.Conn
}

func (v *via) SyscallConn() (syscall.RawConn, error) { return &v.socket, nil }
func (v *via) SetLinger(int) error                   { return syscall.EINVAL }

func newVia() *via {
	v := new(via)
	v.v4, v.v6 = ipv4.NewConn(v), ipv6.NewConn(v)
	return v
}

var vias = sync.Pool{New: func() any { return newVia() }}

// set writes the octet that o holds.
func (o option) set(raw syscall.RawConn, octet uint8) (err error) {
	v := vias.Get().(*via)
	v.socket.RawConn = raw
	if o == ipTOS {
		err = v.v4.SetTOS(int(octet))
	} else {
		err = v.v6.SetTrafficClass(int(octet))
	}
	v.socket.RawConn = nil
	vias.Put(v)
	return err
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
