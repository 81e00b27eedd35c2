// A client that makes its own sockets and marks them before it connects them.
package main

import (
	"log"

	"golang.org/x/sys/unix"
)

func dial(domain int, sa unix.Sockaddr) (int, error) {
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if domain == unix.AF_INET {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0xb8)
	} else {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8)
	}
	if err != nil {
		return 0, err
	}
	return fd, unix.Connect(fd, sa)
}

func main() {
	if _, err := dial(unix.AF_INET, &unix.SockaddrInet4{Port: 22}); err != nil {
		log.Fatal(err)
	}
}
