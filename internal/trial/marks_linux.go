package trial

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/tos"
)

// Priority is whether sockets have SO_PRIORITY. gVisor's have none.
var Priority = once(func() error {
	return option("SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY)
})

// Segmentation is whether the kernel cuts one write into datagrams. gVisor does not.
var Segmentation = once(func() error {
	return option("UDP_SEGMENT", unix.SOL_UDP, unix.UDP_SEGMENT)
})

// MinTTL is whether sockets have IP_MINTTL, by which a listener of several sockets
// loses SYNs until it is complete. gVisor's have none.
var MinTTL = once(func() error {
	return option("IP_MINTTL", unix.IPPROTO_IP, unix.IP_MINTTL)
})

// option is whether UDP sockets have an option.
func option(name string, level, number int) error {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return nil
	}
	if _, err := tos.GetInt(raw, level, number); errors.Is(err, unix.ENOPROTOOPT) {
		return fmt.Errorf("no %s here: %w", name, err)
	}
	return nil
}
