package sshclass_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/sshclass"
)

// A server marks its listener, so that the SYN-ACKs have the mark, too. At that time
// it does not know the use of a connection: take the mark of interactive sessions,
// or listen on one address per class.
func Example_server() {
	ctx := context.Background()
	lc := dscp.ListenConfig{DSCP: dscp.OpenSSH78.Interactive}
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	config, signer := serverConfig()

	var server sync.WaitGroup
	server.Go(func() {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		pinned, _ := dscp.Of(c)
		theirs, known := pinned.PeerDSCP() // known on Linux only
		fmt.Println("ours", pinned.DSCP(), "theirs", theirs, known)
		conn, channels, requests, err := ssh.NewServerConn(c, config)
		if err != nil {
			log.Fatal(err)
		}
		go ssh.DiscardRequests(requests)
		for channel := range channels {
			channel.Reject(ssh.Prohibited, "an example")
		}
		conn.Wait()
	})

	d := dscp.Dialer{DSCP: dscp.CS1}
	conn, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	client, err := sshclass.Handshake(ctx, conn, l.Addr().String(), &ssh.ClientConfig{
		HostKeyCallback: ssh.FixedHostKey(signer.PublicKey()),
	})
	if err != nil {
		log.Fatal(err)
	}
	client.Close()
	server.Wait()
	l.Close()
	// Output: ours AF21 theirs CS1 true
}
