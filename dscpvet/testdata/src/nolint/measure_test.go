package nolint

import (
	"net"
	"testing"

	"golang.org/x/net/ipv4"
)

func TestChange(t *testing.T) {
	c, err := net.Dial("tcp", "127.0.0.1:1")
	if err != nil {
		t.Skip(err)
	}
	if err := ipv4.NewConn(c).SetTOS(0x20); err != nil {
		t.Fatal(err)
	}
}
