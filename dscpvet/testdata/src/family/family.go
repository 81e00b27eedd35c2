// Package family marks one family.
package family

import (
	"context"
	"net"
	"strings"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"lib"
)

func tosOnly(network, address string, c syscall.RawConn) error {
	var opErr error
	if err := c.Control(func(fd uintptr) {
		opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0xb8) // want `^family: SetsockoptInt marks IPv4 packets alone`
	}); err != nil {
		return err
	}
	return opErr
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Control: tosOnly}
	return d.DialContext(ctx, "tcp", addr)
}

func socket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
	if err != nil {
		return 0, err
	}
	return fd, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0xb8) // want `^family:`
}

func datagrams(addr *net.UDPAddr) (*net.UDPConn, error) {
	c, err := net.DialUDP("udp", nil, addr)
	if err != nil {
		return nil, err
	}
	return c, ipv4.NewConn(c).SetTOS(0xb8) // want `^family: SetTOS marks IPv4`
}

func wildcard() (net.PacketConn, error) {
	c, err := net.ListenPacket("udp", ":5353")
	if err != nil {
		return nil, err
	}
	return c, ipv6.NewPacketConn(c).SetTrafficClass(0xb8) // want `^family: SetTrafficClass marks IPv6 packets alone`
}

func wildcardUDP() (*net.UDPConn, error) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{Port: 5353})
	if err != nil {
		return nil, err
	}
	return c, ipv6.NewPacketConn(c).SetTrafficClass(0xb8) // want `^family: SetTrafficClass`
}

func hookOfListener(ctx context.Context) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		return lib.SetOption(c, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8) // want `^family: SetOption`
	}}
	return lc.ListenPacket(ctx, "udp", ":0")
}

func right(ctx context.Context, addr string) error {
	v4, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		return err
	}
	if err := ipv4.NewPacketConn(v4).SetTOS(0xb8); err != nil {
		return err
	}
	v6, err := net.ListenUDP("udp6", nil)
	if err != nil {
		return err
	}
	if err := ipv6.NewPacketConn(v6).SetTrafficClass(0xb8); err != nil {
		return err
	}
	group, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 1), Port: 1})
	if err != nil {
		return err
	}
	if err := ipv4.NewConn(group).SetTOS(0xb8); err != nil {
		return err
	}
	icmp, err := net.ListenPacket("ip4:icmp", "")
	if err != nil {
		return err
	}
	if err := ipv4.NewPacketConn(icmp).SetTOS(0xb8); err != nil {
		return err
	}
	d := net.Dialer{Control: func(network, address string, c syscall.RawConn) error {
		return lib.SetOption(c, unix.IPPROTO_IP, unix.IP_TOS, 0xb8)
	}}
	if _, err := d.DialContext(ctx, "tcp4", addr); err != nil {
		return err
	}
	both := net.Dialer{Control: byNetwork}
	_, err = both.DialContext(ctx, "tcp", addr)
	return err
}

func byNetwork(network, address string, c syscall.RawConn) error {
	if strings.HasSuffix(network, "4") {
		return lib.SetOption(c, unix.IPPROTO_IP, unix.IP_TOS, 0xb8)
	}
	return lib.SetOption(c, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8)
}

func chosen(addr *net.UDPAddr) error {
	c, err := net.DialUDP("udp", nil, addr)
	if err != nil {
		return err
	}
	if addr.IP.To4() != nil {
		return ipv4.NewConn(c).SetTOS(0xb8)
	}
	return nil
}
