// A responder of a measurement protocol that answers each datagram in the class
// that the request asks for.
package main

import (
	"log"
	"net"

	"golang.org/x/net/ipv4"
)

func main() {
	c, err := net.ListenPacket("udp4", ":862")
	if err != nil {
		log.Fatal(err)
	}
	p := ipv4.NewPacketConn(c)
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			log.Fatal(err)
		}
		if n == 0 {
			continue
		}
		if err := p.SetTOS(int(b[0]) << 2); err != nil {
			log.Print(err)
			continue
		}
		if _, err := c.WriteTo(b[:n], from); err != nil {
			log.Print(err)
		}
	}
}
