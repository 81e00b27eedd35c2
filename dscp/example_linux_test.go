package dscp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/godscp/godscp/dscp"
)

// The server answers a client with the mark of the client's SYN, from the SYN-ACK on, if
// it offers that mark.
func ExampleListenConfig_reflect() {
	lc := dscp.ListenConfig{DSCP: dscp.AF21, Reflect: []dscp.CodePoint{dscp.CS1, dscp.EF}}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	for _, cp := range []dscp.CodePoint{dscp.CS1, dscp.AF41} { // AF41 is not offered
		client, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer client.Close()
		server, err := l.(*dscp.Listener).AcceptConn()
		if err != nil {
			fmt.Println(err)
			return
		}
		defer server.Close()
		fmt.Println("client", cp, "server", server.DSCP())
	}
	// Output:
	// client CS1 server CS1
	// client AF41 server AF21
}

// An accepted connection knows the mark of its peer's SYN.
func ExampleConn_PeerDSCP() {
	l, err := (&dscp.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	client, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	server, err := l.(*dscp.Listener).AcceptConn()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	fmt.Println(server.PeerDSCP())
	// Output: AF21 true
}

// Audio and video share a socket, as with RTP. Each datagram has the mark of its kind.
func ExampleUDPConn_WriteMarked() {
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer far.Close()
	d := dscp.Dialer{DSCP: dscp.EF, Datagrams: []dscp.CodePoint{dscp.AF41}}
	c, err := d.Dial("udp", far.LocalAddr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	conn := c.(*dscp.UDPConn)
	_, audio := conn.Write([]byte("audio")) // with EF
	_, video := conn.WriteMarked([]byte("video"), netip.AddrPort{}, dscp.AF41)
	_, other := conn.WriteMarked([]byte("other"), netip.AddrPort{}, dscp.CS1)
	fmt.Println(audio, video, errors.Is(other, dscp.ErrMidFlow))
	// Output: <nil> <nil> true
}

// A program can fall back to plain listening where the system lacks what it asks for.
func ExampleUnsupportedError() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	lc := dscp.ListenConfig{DSCP: dscp.AF21, Reflect: []dscp.CodePoint{dscp.CS1}}
	_, err = lc.Wrap(l.(*net.TCPListener)) // an existing listener cannot reflect
	if unsupported, ok := errors.AsType[*dscp.UnsupportedError](err); ok {
		fmt.Println(unsupported.OS, unsupported.Option, errors.Is(err, errors.ErrUnsupported))
	}
	// Output: linux SO_REUSEPORT true
}
