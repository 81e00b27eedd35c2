// A traceroute that tries every code point on one UDP socket.
package main

import (
	"log"
	"net"

	"golang.org/x/net/ipv4"
)

func main() {
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		log.Fatal(err)
	}
	dst := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 33434}
	p := ipv4.NewPacketConn(c)
	for cp := range 64 {
		if err := p.SetTOS(cp << 2); err != nil {
			log.Fatal(err)
		}
		if _, err := c.WriteTo(nil, dst); err != nil {
			log.Fatal(err)
		}
	}
}
