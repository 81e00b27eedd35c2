package dscptest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// echoServer starts a server that returns what it receives. Closing the listener stops
// it.
func echoServer() net.Listener {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l
}

// Two clients use a server through VMware's NAT. One marks its connection after
// connect, as most programs do, the other with a dscp.Dialer. A test uses NewMiddlebox
// instead of Start.
func ExampleStart() {
	server := echoServer()
	defer server.Close()
	box, err := dscptest.Start(server.Addr().String(), dscptest.VMware)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer box.Close()

	naive, err := net.Dial("tcp", box.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer naive.Close()
	ipv6.NewConn(naive).SetTrafficClass(int(dscp.AF21.TOS()))
	io.WriteString(naive, "hello")
	_, err = naive.Read(make([]byte, 5))
	fmt.Println("marked after connect:", errors.Is(err, syscall.ECONNRESET))

	d := dscp.Dialer{DSCP: dscp.AF21}
	pinned, err := d.DialContext(context.Background(), "tcp", box.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pinned.Close()
	io.WriteString(pinned, "hello")
	answer := make([]byte, 5)
	_, err = io.ReadFull(pinned, answer)
	fmt.Printf("marked from the SYN on: %s, %v\n", answer, err)

	for _, f := range box.Flows() {
		fmt.Printf("flow %d: SYN %v, %v", f.ID, f.SYN, f.Verdict)
		for _, c := range f.Changes {
			fmt.Printf(", %v", c)
		}
		fmt.Println()
	}
	// Output:
	// marked after connect: true
	// marked from the SYN on: hello, <nil>
	// flow 1: SYN DF, reset, client→server: DF → AF21 at byte 0
	// flow 2: SYN AF21, passed
}

// The server is behind the NAT, so the box does not judge the marks of clients outside.
func ExampleConfig() {
	server := echoServer()
	defer server.Close()
	box, err := dscptest.Config{
		Upstream: server.Addr().String(),
		Models:   []dscptest.Model{dscptest.VMware},
		Inside:   dscptest.Server,
	}.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer box.Close()

	c, err := net.Dial("tcp", box.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ipv6.NewConn(c).SetTrafficClass(int(dscp.AF21.TOS()))
	io.WriteString(c, "hello")
	_, err = io.ReadFull(c, make([]byte, 5))
	fmt.Println(err, box.Flows()[0].Changed(), box.Flows()[0].Verdict)
	// Output:
	// <nil> true passed
}

// A server's test can check the mark of a client's SYN without a box.
func ExampleSYN() {
	l, err := (&dscp.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	d := dscp.Dialer{DSCP: dscp.EF}
	client, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(dscptest.SYN(conn))
	// Output:
	// EF <nil>
}

// With one more line a test fails if a flow of the program shows two marks.
func ExampleOneMark() {
	test := func(t *testing.T) {
		server := echoServer()
		defer server.Close()
		box := dscptest.NewMiddlebox(t, server.Addr().String(), dscptest.OneMark)
		conn, err := net.Dial("tcp", box.Addr()) // the program under test
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	_ = test
}

// A program marks its connection at an unknown time. Wait returns when it has.
func ExampleMiddlebox_Wait() {
	server := echoServer()
	defer server.Close()
	box, err := dscptest.Start(server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer box.Close()
	go func() { // the program
		d := dscp.Dialer{DSCP: dscp.AF21}
		if c, err := d.Dial("tcp", box.Addr()); err == nil {
			defer c.Close()
			io.WriteString(c, "hello")
			io.ReadFull(c, make([]byte, 5))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f, err := box.Wait(ctx, func(f dscptest.Flow) bool { return f.ServerBytes == 5 })
	fmt.Println(f.SYN, f.Changed(), err)
	// Output:
	// AF21 false <nil>
}
