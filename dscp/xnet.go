package dscp

import (
	"context"
	"errors"
	"net"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/godscp/godscp/internal/tos"
)

// origin tells the closures apart that x/net passes to a raw conn.
type origin uint8

const (
	unknown   origin = iota
	xnetGet          // reads one socket option
	xnetSet          // writes one socket option
	xnetIO           // sends or receives messages
	secretSet        // this module's own: writes a mark, with the secret of a sealed process
)

// origins has what originOf found out of functions, by their entry.
var origins sync.Map

// originOf tells where a closure comes from. A test holds it against the x/net
// that this module requires, and against builds that compile it in other ways;
// with another x/net a closure at worst becomes unknown, and is watched.
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

// originOfFunc goes by the function's name or by the file that it is in. A
// compiler that has a profile moves a closure into the function that is inlined
// around it, in another package too: then the name begins with that, and the file
// stays. Where sources are vendored, both have a prefix. options says that it is
// of the kind that is passed to Control.
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
	return xnetSet // or what a later x/net does: a trial tells
}

// inXNetSocket knows golang.org/x/net@v0.57.0/internal/socket/rawconn.go and the
// like, wherever the module lies.
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

// A caller is the kind of the method of x/net that a user has called.
type caller uint8

const (
	callerUnknown caller = iota // a method that is not known, or another program's
	callerMark                  // it sets a mark
	callerElse                  // it sets something else
)

// xnetSetters has the methods of x/net's ipv4 and ipv6 packages that set an
// option. A test holds it against the packages. What is not in it is tried.
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

// A frame is what a program counter on a stack stands for.
type frame struct {
	xnet   bool // a function of x/net
	method caller
}

// frames has the frames that xnetCaller has met.
var frames sync.Map

// xnetCaller returns the kind of x/net's method that has called the method of
// guardedConn which calls xnetCaller. The frames of a stack have the names of the
// source, whatever the compiler has inlined.
func xnetCaller() caller {
	var stack [8]uintptr // more than x/net has on it
	const common = 4     // what SetTTL has, and its caller: each frame takes time
	for _, depth := range []int{common, len(stack)} {
		method := callerUnknown
		for _, pc := range stack[:runtime.Callers(3, stack[:depth])] {
			f := frameOf(pc)
			if !f.xnet {
				return method
			}
			method = f.method // that of the outermost
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

// tryElsewhere runs f, which writes one socket option, on a trial socket of the
// same family that holds the pinned marks, whatever the real one holds, and
// returns an error that matches ErrMidFlow if f changes them. An option that marks
// nothing of what the socket sends may also be 0, as it is on a new socket.
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
		_ = p.raw.Control(func(fd uintptr) { family = p.familyOf(fd) }) // of a closed one it does not matter
	}
	return family == familyIPv6 || family == familyUnknown && p.option == tos.IPv6TClass
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
