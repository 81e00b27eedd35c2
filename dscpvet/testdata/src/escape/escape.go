// Package escape marks past the guard of package dscp.
package escape

import (
	"net"

	"golang.org/x/net/ipv4"
	"lib"

	"github.com/godscp/godscp/dscp"
)

func embedded(c *dscp.Conn) error {
	return lib.Mark(c.TCPConn, 0x20) // want `^escape: Mark, which sets IP_TOS and IPV6_TCLASS, changes the mark`
}

func duplicate(c *dscp.Conn) error {
	f, err := c.File()
	if err != nil {
		return err
	}
	defer f.Close()
	return lib.MarkFD(int(f.Fd()), 0x20) // want `^escape: MarkFD`
}

func raw(c *dscp.Conn) error {
	rc, err := c.TCPConn.SyscallConn()
	if err != nil {
		return err
	}
	return lib.MarkRaw(rc, 0x20) // want `^escape: MarkRaw`
}

func throughOf(nc net.Conn) error {
	if c, ok := dscp.Of(nc); ok {
		return lib.Mark(c.TCPConn, 0x20) // want `^escape: Mark`
	}
	return nil
}

// Its own methods are guarded: this is late, and fails.
func guarded(c *dscp.Conn) error {
	return ipv4.NewConn(c).SetTOS(0x20) // want `^late: SetTOS on a connection of package dscp fails`
}

func other(c *dscp.Conn) error {
	if err := c.TCPConn.SetNoDelay(false); err != nil {
		return err
	}
	return c.SetDSCP(dscp.CS1)
}
