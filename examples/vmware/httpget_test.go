package main

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// An endlessConn answers with a header that does not end.
type endlessConn struct {
	net.Conn
	read int
}

func (c *endlessConn) Write(b []byte) (int, error) { return len(b), nil }

func (c *endlessConn) Read(b []byte) (int, error) {
	n := copy(b, strings.Repeat("x", len(b)))
	if c.read == 0 {
		n = copy(b, "HTTP/1.1 200 OK\r\nX: ")
	}
	if c.read += n; c.read > 64<<20 {
		return 0, net.ErrClosed
	}
	return n, nil
}

func TestEndlessHeader(t *testing.T) {
	c := new(endlessConn)
	_, err := getHTTP(c, place{host: "target"}, func(moment) error { return nil })
	assert.Error(t, err)
	assert.LessOrEqual(t, c.read, tooMuch)
}
