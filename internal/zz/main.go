package main

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"github.com/godscp/godscp/dscp"
)

func main() {
	for _, n := range [][2]string{{"ip4:6", "127.0.0.1"}, {"ip4:icmp", "127.0.0.1"}, {"ip6:ipv6-icmp", "::1"}, {"ip6:ipv6-icmp", "::"}, {"ip6:4", "::1"}, {"ip:54", "::1"}, {"ip:56", "127.0.0.1"}} {
		nlc := &net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error { fmt.Println(n, "hook:", network, address); return nil }}
		c, err := (&dscp.ListenConfig{DSCP: dscp.AF21, NetListenConfig: nlc}).ListenPacket(context.Background(), n[0], n[1])
		fmt.Println(n, err)
		if err == nil {
			c.Close()
		}
		d, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial(n[0], n[1])
		fmt.Println(n, "dial", err)
		if err == nil {
			d.Close()
		}
	}
}
