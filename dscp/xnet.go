package dscp

import (
	"context"
	"errors"
	"net"
	"reflect"
	"runtime"
	"strings"
	"syscall"

	"github.com/godscp/godscp/internal/tos"
)

// origin tells the closures apart that x/net passes to a raw conn.
type origin uint8

const (
	unknown origin = iota
	xnetGet        // reads one socket option
	xnetSet        // writes one socket option
	xnetIO         // sends or receives messages
)

// originOf tells where a closure comes from, by the name that the compiler gave it.
// A test holds the names against the x/net that this module requires; with
// another x/net a closure at worst becomes unknown, and is watched.
func originOf[F func(uintptr) | func(uintptr) bool](f F) origin {
	fn := runtime.FuncForPC(reflect.ValueOf(f).Pointer())
	if fn == nil {
		return unknown
	}
	return originOfName(fn.Name())
}

func originOfName(function string) origin {
	// A vendored x/net has a prefix.
	_, name, ok := strings.Cut(function, "golang.org/x/net/internal/socket.")
	if !ok {
		return unknown
	}
	switch name {
	case "(*Option).get.func1":
		return xnetGet
	case "(*Option).set.func1":
		return xnetSet
	case "(*syscaller).recvmmsgF-fm", "(*Conn).recvMsg.func1",
		"(*syscaller).sendmmsgF-fm", "(*Conn).sendMsg.func1":
		return xnetIO
	}
	return unknown
}

// tryElsewhere runs f, which writes one socket option, on a trial socket that
// holds the marks of the real one, and returns an error that matches ErrMidFlow
// in changes if f would change them.
func (p *pin) tryElsewhere(f func(fd uintptr)) (changes, err error) {
	held := marksOf(p.raw)
	if err := p.unread(held); err != nil {
		return nil, err
	}
	err = onTrialSocket(held.has(tos.IPv6TClass), func(fd uintptr) error {
		for _, opt := range []tos.Option{tos.IPv4TOS, tos.IPv6TClass} {
			if held.has(opt) {
				if err := opt.Set(tos.FD(fd), held[opt].octet); err != nil {
					return err
				}
			}
		}
		f(fd)
		after := marksOf(tos.FD(fd))
		if err := p.unread(after); err != nil {
			return err
		}
		for _, opt := range []tos.Option{tos.IPv4TOS, tos.IPv6TClass} {
			if wanted, changed := after.changed(held, opt); changed && wanted != p.pinned(opt) {
				changes = p.midFlow(opt, wanted)
			}
		}
		return nil
	})
	return changes, err
}

// errTrialDone ends the making of a trial socket.
var errTrialDone = errors.New("enough")

// onTrialSocket calls f with a socket of the family that will never send
// anything: net makes it, and f runs where hooks run, before it is bound.
func onTrialSocket(ipv6 bool, f func(fd uintptr) error) error {
	network, address := "udp4", "127.0.0.1:0"
	if ipv6 {
		network, address = "udp6", "[::1]:0"
	}
	var ran bool
	var ferr error
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if err := c.Control(func(fd uintptr) { ferr, ran = f(fd), true }); err != nil {
			return err
		}
		return errTrialDone
	}}
	_, err := lc.ListenPacket(context.Background(), network, address)
	if ran {
		return ferr
	}
	return err
}
