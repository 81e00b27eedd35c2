// Package mptcp marks listeners that may use Multipath TCP.
package mptcp

import (
	"context"
	"log"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
	"lib"
)

func logged(network, address string, c syscall.RawConn) error {
	if err := lib.SetOption(c, unix.IPPROTO_IP, unix.IP_TOS, 0xb8); err != nil {
		return err
	}
	if err := lib.SetOption(c, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8); err != nil { // want `^mptcp: Multipath TCP listeners, Go's default, refuse IPV6_TCLASS`
		log.Print(err)
	}
	return nil
}

func listen(ctx context.Context) (net.Listener, error) {
	lc := net.ListenConfig{Control: logged}
	return lc.Listen(ctx, "tcp", ":0")
}

func dropped(ctx context.Context) (net.Listener, error) {
	lc := &net.ListenConfig{
		Control: func(network, address string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				lib.MarkFD(int(fd), 0xb8) // want `^mptcp:` `^dropped:`
			})
		},
	}
	return lc.Listen(ctx, "tcp", ":0")
}

func after() (net.Listener, error) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return nil, err
	}
	rc, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := lib.MarkRaw(rc, 0xb8); err != nil { // want `^mptcp: .* this error is not returned`
		log.Print(err)
	}
	return l, nil
}

func off(ctx context.Context) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		if err := lib.MarkRaw(c, 0xb8); err != nil {
			log.Print(err)
		}
		return nil
	}}
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", ":0")
}

func returned(ctx context.Context) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		var opErr error
		err := c.Control(func(fd uintptr) {
			if opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, 0xb8); opErr != nil {
				return
			}
			opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8)
		})
		if err != nil {
			return err
		}
		return opErr
	}}
	return lc.Listen(ctx, "tcp", ":0")
}

func packets(ctx context.Context) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		if err := lib.MarkRaw(c, 0xb8); err != nil {
			log.Print(err)
		}
		return nil
	}}
	return lc.ListenPacket(ctx, "udp", ":0")
}
