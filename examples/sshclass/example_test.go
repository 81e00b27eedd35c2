package sshclass_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/sshclass"
)

// A client chooses the class of the connection before it dials. Of returns the
// marked connection under any wrapper that has a NetConn method.
func Example_client() {
	server := startServer()
	defer server.Close()
	ctx := context.Background()

	d := dscp.Dialer{DSCP: dscp.OpenSSH78.Bulk}
	conn, err := d.DialContext(ctx, "tcp", server.Addr())
	if err != nil {
		log.Fatal(err)
	}
	client, err := sshclass.Handshake(ctx, conn, server.Addr(), server.Config())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	session, err := client.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	out, err := session.Output("a command")
	if err != nil {
		log.Fatal(err)
	}
	pinned, _ := dscp.Of(conn)
	fmt.Printf("%s over %v\n", out, pinned.DSCP())
	// Output: a command over CS1
}

// With a jump host, mark the connection to the jump host: it is the only one that
// leaves this machine. The jump host decides about its connection to the target.
func Example_jumpHost() {
	jump, target := startServer(), startServer()
	defer jump.Close()
	defer target.Close()
	ctx := context.Background()

	d := dscp.Dialer{DSCP: dscp.AF21}
	outer, err := d.DialContext(ctx, "tcp", jump.Addr())
	if err != nil {
		log.Fatal(err)
	}
	first, err := sshclass.Handshake(ctx, outer, jump.Addr(), jump.Config())
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close()

	inner, err := first.DialContext(ctx, "tcp", target.Addr())
	if err != nil {
		log.Fatal(err)
	}
	second, err := sshclass.Handshake(ctx, inner, target.Addr(), target.Config())
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()

	session, err := second.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	out, err := session.Output("through two")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(out))
	// Output: through two
}

// A terminal and a transfer at the same time, on two connections.
func ExampleClient() {
	server := startServer()
	defer server.Close()
	ctx := context.Background()

	c := &sshclass.Client{Addr: server.Addr(), Config: server.Config(), IPQoS: dscp.OpenSSH78}
	defer c.Close()

	for _, class := range []func(context.Context) (*ssh.Client, error){c.Interactive, c.Bulk} {
		client, err := class(ctx)
		if err != nil {
			log.Fatal(err)
		}
		session, err := client.NewSession()
		if err != nil {
			log.Fatal(err)
		}
		out, err := session.Output("done")
		if err != nil {
			log.Fatal(err)
		}
		session.Close()
		fmt.Println(string(out))
	}
	// Output:
	// done
	// done
}

// Without a context, x/crypto/ssh would wait forever for a server that accepts the
// connection and sends nothing.
func ExampleHandshake() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()

	ctx, cancel := context.WithCancel(context.Background())
	var d dscp.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	go cancel()
	_, err = sshclass.Handshake(ctx, conn, addr, &ssh.ClientConfig{
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // this server sends no host key
	})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output: true
}
