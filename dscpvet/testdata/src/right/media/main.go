// A sender of RTP, which marks its UDP socket before the first datagram.
package main

import (
	"log"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func main() {
	addr, err := net.ResolveUDPAddr("udp", "example.com:5004")
	if err != nil {
		log.Fatal(err)
	}
	c, err := net.DialUDP("udp", nil, addr)
	if err != nil {
		log.Fatal(err)
	}
	if addr.IP.To4() != nil {
		err = ipv4.NewConn(c).SetTOS(0xb8)
	} else {
		err = ipv6.NewConn(c).SetTrafficClass(0xb8)
	}
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Write(make([]byte, 160)); err != nil {
		log.Fatal(err)
	}
}
