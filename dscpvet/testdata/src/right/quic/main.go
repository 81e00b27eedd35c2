// A QUIC stack that sets ECN by control messages.
package main

import (
	"encoding/binary"
	"log"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

func ecn(b []byte, codepoint uint8) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level = unix.IPPROTO_IPV6
	h.Type = unix.IPV6_TCLASS
	h.Len = 20
	binary.NativeEndian.PutUint32(b[16:], uint32(codepoint))
}

func main() {
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		log.Fatal(err)
	}
	oob := make([]byte, 24)
	ecn(oob, 2)
	if _, _, err := c.WriteMsgUDP([]byte("initial"), oob, nil); err != nil {
		log.Fatal(err)
	}
}
