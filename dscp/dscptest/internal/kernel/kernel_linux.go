package kernel

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/tos"
)

// A linuxKernel needs no privilege. With CAP_NET_RAW it can capture.
type linuxKernel struct {
	v6      bool
	diag    *sockDiag // in IPv6 only to predict SYN-ACKs; nil if it does not work
	packets *capture  // nil if probes do not read captured packets

	reflects    bool  // servers in this namespace answer a SYN with its own mark
	reflectsErr error // why reflects is not known

	tellsUDPSockets atomic.Bool // diag finds the sockets of datagrams
	tellsArrival    atomic.Bool // control messages have the time when a datagram arrived
}

// Open returns the Kernel for middleboxes of the family, after it has tried what this
// system and process can do.
func Open(v6 bool) (Kernel, error) {
	diag, err := openSockDiag()
	if err == nil {
		err = diag.try(v6)
		if err != nil {
			diag.close()
			diag = nil
		}
	}
	if err != nil && !v6 {
		return nil, Unsupported("tcp4", "NETLINK_SOCK_DIAG", err)
	}
	k := &linuxKernel{v6: v6, diag: diag}
	k.reflects, k.reflectsErr = tos.ReadReflects()
	return k, nil
}

func (k *linuxKernel) Capture(port uint16, upstream netip.AddrPort, local bool) error {
	c, err := openCapture(k.v6, port, upstream, local)
	if err == nil {
		k.packets = c
	}
	return err
}

func (k *linuxKernel) EndCapture() error {
	if k.packets == nil {
		return nil
	}
	err := k.packets.close()
	k.packets = nil
	return err
}

func (k *linuxKernel) Source() Source {
	if k.packets != nil {
		return EverySegment
	}
	if k.v6 {
		return LatestSegment
	}
	return PeerSocket
}

func (k *linuxKernel) PrepareListener(cp dscp.CodePoint, shared bool) Control {
	return onSocket(func(c syscall.RawConn) error {
		if shared {
			if err := sharePort(c); err != nil {
				return err
			}
		}
		if err := optionFailure("TCP_SAVE_SYN", tos.SaveSYN(c)); err != nil {
			return err
		}
		return k.ready(c, cp)
	})
}

func (k *linuxKernel) PrepareDial(cp dscp.CodePoint) Control {
	return onSocket(func(c syscall.RawConn) error { return k.ready(c, cp) })
}

// ready marks a socket and makes it keep the latest Traffic Class. Accepted sockets
// inherit both.
func (k *linuxKernel) ready(c syscall.RawConn, cp dscp.CodePoint) error {
	if k.v6 {
		if err := setOption(c, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS"); err != nil {
			return err
		}
	}
	return k.SetMark(c, cp)
}

func (k *linuxKernel) SetMark(c syscall.RawConn, cp dscp.CodePoint) error {
	o := k.option()
	return optionFailure(o.String(), o.Set(c, cp.TOS()))
}

// option returns the option that marks sockets of the family.
func (k *linuxKernel) option() tos.Option {
	if k.v6 {
		return tos.IPv6TClass
	}
	return tos.IPv4TOS
}

func (k *linuxKernel) SYNACKMark(addr netip.AddrPort, syn dscp.CodePoint) (dscp.CodePoint, bool) {
	if k.diag == nil {
		return 0, false
	}
	if k.reflects {
		_, err := k.diag.listener(addr)
		return syn, err == nil
	}
	cp, err := k.diag.listenerMark(addr)
	return cp, err == nil && (k.reflectsErr == nil || cp == syn)
}

func (k *linuxKernel) Probe(c *net.TCPConn, accepted bool) (Probe, error) {
	if k.packets != nil {
		if p, ok := k.packets.probe(c); ok {
			return p, nil
		}
		return nil, errNotCaptured
	}
	if k.v6 {
		return newClassProbe(c)
	}
	return newDiagProbe(k.diag, c, accepted)
}

// errNotCaptured is the error for a connection whose SYN is not in the capture,
// although the capture lost nothing.
var errNotCaptured = errors.New("dscptest: the SYN was not captured")

func (k *linuxKernel) DiscardInput(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return k.discardInput(raw)
}

// discardInput uses the check of RFC 5082 (GTSM): the kernel discards a segment whose
// TTL or Hop Limit is below 255 before TCP. Nothing on loopback, and hardly anything
// elsewhere, is sent with 255.
func (k *linuxKernel) discardInput(c syscall.RawConn) error {
	if k.v6 {
		return setOption(c, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, 255, "IPV6_MINHOPCOUNT")
	}
	return setOption(c, unix.IPPROTO_IP, unix.IP_MINTTL, 255, "IP_MINTTL")
}

// PrepareUDP returns a function that makes a socket receive the TOS or Traffic Class
// octet of each datagram in a control message, and the time when it arrived.
func (k *linuxKernel) PrepareUDP() Control {
	return onSocket(func(c syscall.RawConn) error {
		r, o := tos.Host.Receive, k.option()
		if err := setOption(c, o.Level(), r[o].Number, 1, r[o].Name); err != nil {
			return err
		}
		return setOption(c, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS")
	})
}

func (k *linuxKernel) Close() error {
	var errs []error
	if k.packets != nil {
		errs = append(errs, k.packets.close())
	}
	if k.diag != nil {
		errs = append(errs, k.diag.close())
	}
	return errors.Join(errs...)
}

// HoldCapture keeps k's capture from emptying its rings until release is called, so
// that a test can fill them.
func HoldCapture(k Kernel) (release func()) {
	c := k.(*linuxKernel).packets
	c.mu.Lock()
	return c.mu.Unlock
}

// CapturedFlows returns how many routes k's capture follows. It is for tests.
func CapturedFlows(k Kernel) int {
	c := k.(*linuxKernel).packets
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain()
	return len(c.flows)
}
