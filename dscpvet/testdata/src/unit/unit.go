// Package unit mixes up octets and code points.
package unit

import (
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"lib"

	"github.com/godscp/godscp/dscp"
)

const (
	dscpAF42 = 36
	EF       = 46
	lowDelay = 16
)

func octets(c *net.UDPConn, fd int) error {
	p := ipv4.NewConn(c)
	if err := p.SetTOS(46); err != nil { // want `^unit: SetTOS takes a TOS octet, and 46 is the code point EF, whose octet is 0xb8`
		return err
	}
	if err := p.SetTOS(dscpAF42); err != nil { // want `^unit: .* 36 is the code point AF42`
		return err
	}
	if err := unix.SetsockoptByte(fd, unix.IPPROTO_IP, unix.IP_TOS, byte(EF)); err != nil { // want `^unit: .* code point EF`
		return err
	}
	if err := p.SetTOS(EF << 4); err != nil { // want `^unit: 736 is out of range`
		return err
	}
	if err := p.SetTOS(int(dscp.EF)); err != nil { // want `^unit: SetTOS takes a TOS octet, and this is a code point; TOS returns its octet`
		return err
	}
	if err := lib.Mark(c, 10); err != nil { // want `^unit: .* code point AF11`
		return err
	}
	return lib.MarkDSCP(c, 0xb8) // want `^unit: 184 is out of range: MarkDSCP takes a code point, 0 to 63; as a TOS octet it is code point 46`
}

func once(c *net.UDPConn, cp int) error {
	if err := ipv4.NewConn(c).SetTOS(cp << 2); err != nil {
		return err
	}
	return ipv6.NewConn(c).SetTrafficClass(cp) // want `^unit: SetTrafficClass takes a TOS octet; the same value is shifted`
}

func onceInClosures(c syscall.RawConn, v6 bool, cp int) (err error) {
	if v6 {
		c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, cp) // want `^unit: .* shifted`
		})
		return err
	}
	c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, cp<<2)
	})
	return err
}

var (
	dialer  = dscp.Dialer{DSCP: 0xb8}       // want `^unit: 184 is not a code point, 0 to 63; as a TOS octet it is code point 46, see FromTOS`
	another = dscp.CodePoint(0x48)          // want `^unit: 72 is not a code point`
	back    = dscp.CodePoint(dscp.EF.TOS()) // want `^unit: TOS returns an octet`
	from    = dscp.FromTOS(46)              // want `^unit: FromTOS takes a TOS octet, and 46 is the code point EF`
	bare    = dscp.FromTOS(uint8(dscp.EF))  // want `^unit: FromTOS takes a TOS octet, and this is a code point`
)

const named dscp.CodePoint = 0x88 // want `^unit: 136 is not a code point`

func right(c *net.UDPConn, cp dscp.CodePoint, tos uint8) error {
	p := ipv4.NewConn(c)
	for _, v := range []int{0x10, 0x08, 0xb8, 0xb9, lowDelay, 0x20, 1, 2, 3} {
		if err := p.SetTOS(v); err != nil {
			return err
		}
	}
	if err := p.SetTOS(0x20); err != nil { // CS1's octet, or CS4: the number is ambiguous
		return err
	}
	if err := p.SetTOS(lowDelay); err != nil {
		return err
	}
	if err := p.SetTOS(EF << 2); err != nil {
		return err
	}
	if err := p.SetTOS(int(cp) << 2); err != nil {
		return err
	}
	if err := p.SetTOS(int(cp.TOS())); err != nil {
		return err
	}
	if cp >= 64 || cp&0xfc == 0 {
		return nil
	}
	_ = dscp.Dialer{DSCP: dscp.FromTOS(0xb8)}
	_ = dscp.CodePoint(tos >> 2)
	_ = named
	return lib.MarkDSCP(c, 46)
}
