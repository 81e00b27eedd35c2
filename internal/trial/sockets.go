package trial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// UDP is whether package net opens UDP sockets. On Windows it asks for an option of
// them that Wine does not have.
var UDP = once(func() error {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("no UDP sockets here: %w", err)
	}
	return c.Close()
})

// Unix is whether there are unix sockets, which Wine has none of.
var Unix = once(func() error {
	directory, err := os.MkdirTemp("", "trial")
	if err != nil {
		return nil
	}
	defer os.RemoveAll(directory)
	l, err := net.Listen("unix", filepath.Join(directory, "s"))
	if err != nil {
		return fmt.Errorf("no unix sockets here: %w", err)
	}
	return l.Close()
})

// Copy is whether package net copies from one TCP connection to another what has been
// sent. It does so by splice(2), with which gVisor loses the order.
var Copy = once(func() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil
	}
	defer l.Close()
	var conns [4]net.Conn // a source, from, to, and a sink
	for i := 0; i < len(conns); i += 2 {
		if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			return nil
		}
		defer conns[i].Close()
		if conns[i+1], err = l.Accept(); err != nil {
			return nil
		}
		defer conns[i+1].Close()
	}
	for _, c := range conns {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return nil
		}
	}
	source, from, to, sink := conns[0].(*net.TCPConn), conns[1], conns[2].(*net.TCPConn), conns[3]
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		source.Write(sent)
		source.CloseWrite()
	}()
	copied := make(chan error, 1)
	go func() {
		_, err := io.CopyN(to, from, 1000)
		if err == nil {
			_, err = io.Copy(to, from)
		}
		to.CloseWrite()
		copied <- err
	}()
	got, err := io.ReadAll(sink)
	if err := errors.Join(err, <-copied); err != nil {
		return nil
	}
	if !bytes.Equal(sent, got) {
		return errors.New("io.Copy between TCP connections garbles what it copies here")
	}
	return nil
})
