// A ping that marks raw ICMP sockets of one family each.
package main

import (
	"log"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func main() {
	c4, err := net.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		log.Fatal(err)
	}
	if err := ipv4.NewPacketConn(c4).SetTOS(0xc0); err != nil {
		log.Fatal(err)
	}
	c6, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		log.Fatal(err)
	}
	if err := ipv6.NewPacketConn(c6).SetTrafficClass(0xc0); err != nil {
		log.Fatal(err)
	}
}
