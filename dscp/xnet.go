package dscp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/godscp/godscp/internal/tos"
)

// An origin is the kind of a closure that is passed to a raw conn.
type origin uint8

const (
	unknown   origin = iota
	xnetGet          // reads one socket option
	xnetSet          // writes one socket option
	xnetIO           // sends or receives messages
	secretSet        // of this module: writes a mark with the secret of a sealed process
)

// origins caches the results of originOf by the entry point of the function.
var origins sync.Map

// originOf returns the origin of a closure. Tests check it with the version of x/net that
// this module requires, and in several kinds of build. A closure of another version may
// be unknown; then it is watched.
func originOf[F func(uintptr) | func(uintptr) bool](f F) origin {
	entry := reflect.ValueOf(f).Pointer()
	if o, ok := origins.Load(entry); ok {
		return o.(origin)
	}
	o := unknown
	if fn := runtime.FuncForPC(entry); fn != nil {
		file, _ := fn.FileLine(entry)
		_, does := any(f).(func(uintptr))
		o = originOfFunc(fn.Name(), file, does)
	}
	origins.Store(entry, o)
	return o
}

// xnetSocket is the package from which x/net's closures come.
const xnetSocket = "golang.org/x/net/internal/socket"

// originOfFunc decides by the name of the function or by its file. In a build with a
// profile the compiler may inline the function around a closure into another one, even
// of another package. The name of the closure then begins with that of the other
// function; its file is the same. Both have a prefix where sources are vendored. options
// is true for a closure that is passed to Control.
func originOfFunc(function, file string, options bool) origin {
	if strings.Contains(function, "godscp/internal/tos.(*secretSetter).") {
		return secretSet
	}
	if !strings.Contains(function, xnetSocket+".") && !inXNetSocket(file) {
		return unknown
	}
	switch {
	case !options:
		return xnetIO
	case strings.Contains(function, "(*Option).get.func"):
		return xnetGet
	}
	return xnetSet // or a closure of another version of x/net: both are tried first
}

// inXNetSocket reports whether file is in x/net's internal/socket, such as
// …/golang.org/x/net@v0.57.0/internal/socket/rawconn.go.
func inXNetSocket(file string) bool {
	_, rest, ok := strings.Cut(file, "golang.org/x/net")
	if !ok {
		return false
	}
	if strings.HasPrefix(rest, "@") {
		_, rest, _ = strings.Cut(rest, "/")
		rest = "/" + rest
	}
	return strings.HasPrefix(rest, "/internal/socket/")
}

// A caller is the kind of x/net's method that the program has called.
type caller uint8

const (
	callerUnknown caller = iota // an unknown method, or not one of x/net
	callerMark                  // it sets a mark
	callerElse                  // it sets something else
)

// xnetSetters has the methods of x/net's ipv4 and ipv6 packages that set an
// option. A test compares it with the packages. Other methods are tried first.
var xnetSetters = map[string]caller{
	"SetTOS":          callerMark,
	"SetTrafficClass": callerMark,

	"SetTTL":                     callerElse,
	"SetHopLimit":                callerElse,
	"SetMulticastTTL":            callerElse,
	"SetMulticastHopLimit":       callerElse,
	"SetMulticastInterface":      callerElse,
	"SetMulticastLoopback":       callerElse,
	"JoinGroup":                  callerElse,
	"LeaveGroup":                 callerElse,
	"JoinSourceSpecificGroup":    callerElse,
	"LeaveSourceSpecificGroup":   callerElse,
	"ExcludeSourceSpecificGroup": callerElse,
	"IncludeSourceSpecificGroup": callerElse,
	"SetControlMessage":          callerElse,
	"SetICMPFilter":              callerElse,
	"SetBPF":                     callerElse,
	"SetChecksum":                callerElse,
}

// A frame describes the function of a program counter on a stack.
type frame struct {
	xnet   bool // a function of x/net
	method caller
}

// frames caches the frames of program counters.
var frames sync.Map

// xnetCaller returns the kind of x/net's method that has called the method of
// guardedConn which calls xnetCaller. Inlining does not change the names of frames.
func xnetCaller() caller {
	var stack [8]uintptr // more than the frames of x/net
	const common = 4     // the frames of SetTTL and its caller; each frame takes time
	for _, depth := range []int{common, len(stack)} {
		method := callerUnknown
		for _, pc := range stack[:runtime.Callers(3, stack[:depth])] {
			f := frameOf(pc)
			if !f.xnet {
				return method
			}
			method = f.method // in the end the outermost one
		}
	}
	return callerUnknown
}

func frameOf(pc uintptr) frame {
	if f, ok := frames.Load(pc); ok {
		return f.(frame)
	}
	at, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	f := frameOfFunc(at.Function)
	frames.Store(pc, f)
	return f
}

func frameOfFunc(function string) frame {
	_, name, ok := strings.Cut(function, "golang.org/x/net/")
	f := frame{xnet: ok}
	if strings.HasPrefix(name, "ipv4.") || strings.HasPrefix(name, "ipv6.") {
		f.method = xnetSetters[name[strings.LastIndexByte(name, '.')+1:]]
	}
	return f
}

// tryElsewhere runs f, which writes one socket option, on a trial socket of the same
// family that holds the pinned marks. It returns an error that matches ErrMidFlow if f
// changes them there. f may also set an option that marks nothing of what the socket
// sends to 0, its value on a new socket.
func (p *pin) tryElsewhere(f func(fd uintptr)) error {
	return onTrialSocket(p.isIPv6(), func(fd uintptr) error {
		for _, opt := range p.options(fd) {
			if p.marks(opt) {
				if err := opt.Set(tos.FD(fd), p.pinned(opt).TOS()); err != nil {
					return err
				}
			}
		}
		before, err := p.read(fd)
		if err != nil {
			return err
		}
		f(fd)
		after, err := p.read(fd)
		if err != nil {
			return err
		}
		_, refused := p.foreign(after, before)
		return refused
	})
}

// isIPv6 reports whether p is an IPv6 socket.
func (p *pin) isIPv6() bool {
	family := p.family.Load()
	if family == familyUnknown {
		_ = p.raw.Control(func(fd uintptr) { family = p.familyOf(fd) }) // fails only on a closed socket
	}
	return family == familyIPv6 || family == familyUnknown && p.option == tos.IPv6TClass
}

// errTrialDone makes net close a trial socket before it is bound.
var errTrialDone = errors.New("trial done")

// errNoHook is why there is no trial socket on a system where net runs no hooks.
var errNoHook = fmt.Errorf("no trial socket: package net runs no hooks here: %w", errors.ErrUnsupported)

// onTrialSocket calls f with a socket of the family that never sends anything: f runs in
// the hook of a socket of net, which then fails with errTrialDone. It fails
// where net runs no hooks (plan9, js, wasip1).
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
	c, err := lc.ListenPacket(context.Background(), network, address)
	if err == nil {
		_ = c.Close() // nothing was sent on it
	}
	switch {
	case ran:
		return ferr
	case err == nil:
		return errNoHook
	}
	return err
}
