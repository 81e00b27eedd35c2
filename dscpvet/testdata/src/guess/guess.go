// Package guess marks through an interface.
package guess

import "net"

type marker interface {
	SetTOS(c net.Conn, tos int) error
}

func wrong(m marker, addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	return m.SetTOS(c, 0xb8) // want `^guess: SetTOS, by its name, marks`
}

func right(m marker, addr *net.UDPAddr) error {
	c, err := net.DialUDP("udp", nil, addr)
	if err != nil {
		return err
	}
	return m.SetTOS(c, 0xb8)
}
