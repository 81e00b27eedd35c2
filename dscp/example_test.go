//go:build unix

package dscp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"

	"golang.org/x/net/ipv4"

	"github.com/godscp/godscp/dscp"
)

// echo starts a server for the examples. It sends back what it reads.
func echo(lc *dscp.ListenConfig) net.Listener {
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
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

func ExampleDialer() {
	l := echo(&dscp.ListenConfig{})
	defer l.Close()

	d := dscp.Dialer{DSCP: dscp.AF21} // the zero value of all other fields is useful
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.(*dscp.Conn).DSCP())
	// Output: AF21
}

// NATSafe marks with the values of OpenSSH 7.7, which survive behind a box that resets
// flows whose precedence changes.
func ExampleDialer_natSafe() {
	l := echo(&dscp.ListenConfig{})
	defer l.Close()

	d := dscp.Dialer{DSCP: dscp.AF21, NATSafe: true}
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.(*dscp.Conn).DSCP())
	// Output: lowdelay
}

// A Conn refuses to change its mark, by its own method and by those of x/net.
func ExampleConn() {
	l := echo(&dscp.ListenConfig{})
	defer l.Close()
	d := dscp.Dialer{DSCP: dscp.AF21}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	conn := c.(*dscp.Conn)

	fmt.Println(errors.Is(conn.SetDSCP(dscp.CS1), dscp.ErrMidFlow))
	fmt.Println(errors.Is(ipv4.NewConn(conn).SetTOS(0x20), dscp.ErrMidFlow))
	fmt.Println(conn.DSCP(), conn.Verify())
	// Output:
	// true
	// true
	// AF21 <nil>
}

// An HTTP server whose connections are marked from the SYN-ACK on.
func ExampleListenConfig() {
	lc := dscp.ListenConfig{DSCP: dscp.AF21}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go http.Serve(l, http.NotFoundHandler())

	// The client does not need a mark.
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 404
}

// An HTTP client whose connections are marked. With a DialContext function a Transport
// uses HTTP/2 only if ForceAttemptHTTP2 is set.
func ExampleDialer_DialContext() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()

	d := dscp.Dialer{DSCP: dscp.AF11}
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()

	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { fmt.Println(info.Conn.(*dscp.Conn).DSCP()) },
	})
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	// Output: AF11
}

// A tls.Dialer requires a *net.Dialer. The conns of Marked are net's own and not pinned.
func ExampleDialer_Marked() {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()

	d := dscp.Dialer{DSCP: dscp.AF21}
	td := tls.Dialer{NetDialer: d.Marked(), Config: srv.Client().Transport.(*http.Transport).TLSClientConfig}
	conn, err := td.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	io.Copy(io.Discard, conn)
	fmt.Printf("%T\n", conn.(*tls.Conn).NetConn())
	// Output: *net.TCPConn
}

// A library that requires a *net.ListenConfig gets one that marks.
func ExampleListenConfig_Marked() {
	lc := dscp.ListenConfig{DSCP: dscp.AF21}
	l, err := lc.Marked().Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	fmt.Printf("%T\n", l)
	// Output: *net.TCPListener
}

// A net.Dialer of the program's own marks with Control. Pin then keeps the mark.
func ExampleControl() {
	l := echo(&dscp.ListenConfig{})
	defer l.Close()

	d := net.Dialer{Control: dscp.Control(dscp.EF)}
	bare, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bare.Close()
	conn, err := dscp.Pin(bare.(*net.TCPConn))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(conn.DSCP())
	// Output: EF
}

// Pin keeps a connection at the mark that it has. Here the connection is one that net
// has accepted.
func ExamplePin() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	accepted, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer accepted.Close()

	conn, err := dscp.Pin(accepted.(*net.TCPConn))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(conn.DSCP(), errors.Is(conn.SetDSCP(dscp.AF21), dscp.ErrMidFlow))
	// Output: DF true
}

// Seal at the start of main: from then on no code of the process, and no program that it
// starts, changes the mark of a socket.
func ExampleSeal() {
	err := dscp.Seal()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		log.Print(err) // the conns of this package guard their marks without the seal
	case err != nil:
		log.Fatal(err)
	}
}

// A listener that another package has made, for example from a descriptor of a parent
// process, is marked. It must not be a Multipath TCP socket.
func ExampleListenConfig_Wrap() {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	made, err := plain.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	lc := dscp.ListenConfig{DSCP: dscp.AF21}
	l, err := lc.Wrap(made.(*net.TCPListener))
	if err != nil {
		fmt.Println(err)
		made.Close()
		return
	}
	defer l.Close()

	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	conn, err := l.AcceptConn()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.DSCP())
	// Output: AF21
}

// A UDPConn keeps its mark, too, on every datagram that it sends.
func ExampleUDPConn() {
	lc := dscp.ListenConfig{DSCP: dscp.EF}
	pc, err := lc.ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pc.Close()
	conn := pc.(*dscp.UDPConn)

	fmt.Println(errors.Is(conn.SetDSCP(dscp.CS1), dscp.ErrMidFlow))
	fmt.Println(errors.Is(ipv4.NewPacketConn(conn).SetTOS(0x20), dscp.ErrMidFlow))
	fmt.Println(conn.DSCP(), conn.Verify())
	// Output:
	// true
	// true
	// EF <nil>
}

// A Trace function gets an Event for each attempt to connect.
func ExampleEvent() {
	l := echo(&dscp.ListenConfig{})
	defer l.Close()

	d := dscp.Dialer{DSCP: dscp.AF21, Trace: func(e dscp.Event) {
		fmt.Println(e.Op, e.Network, "requested", e.Requested, "effective", e.Effective, "error", e.Err)
	}}
	if c, err := d.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
	}
	// Output: dial tcp requested AF21 effective AF21 error <nil>
}

// The same code point as a name, as a DSCP and as a TOS octet.
func ExampleCodePoint() {
	cp := dscp.AF21
	fmt.Printf("%v is DSCP %d and TOS octet 0x%02x, with precedence %d\n", cp, uint8(cp), cp.TOS(), cp.Precedence())
	// Output: AF21 is DSCP 18 and TOS octet 0x48, with precedence 2
}

func ExampleFromTOS() {
	const octet = 0x48 // as in the IP header, or from a socket option
	fmt.Println(dscp.FromTOS(octet))
	// Output: AF21
}

// Of finds the Conn in a TLS connection.
func ExampleOf() {
	l := echo(&dscp.ListenConfig{})
	defer l.Close()
	d := dscp.Dialer{DSCP: dscp.AF21}
	raw, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer raw.Close()
	wrapped := tls.Client(raw, &tls.Config{ServerName: "example.com"})
	conn, ok := dscp.Of(wrapped)
	fmt.Println(conn.DSCP(), ok)
	// Output: AF21 true
}

func ExampleParse() {
	for _, s := range []string{"AF21", "ef", "18", "0x12", "va", "0x48", "best"} {
		cp, err := dscp.Parse(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s: %v, octet 0x%02x\n", s, cp, cp.TOS())
	}
	// Output:
	// AF21: AF21, octet 0x48
	// ef: EF, octet 0xb8
	// 18: AF21, octet 0x48
	// 0x12: AF21, octet 0x48
	// va: VOICE-ADMIT, octet 0xb0
	// dscp: code point 0x48 is out of range 0-63; as a TOS octet it is AF21 (18), see ParseTOS
	// dscp: invalid code point "best" (want a name such as AF21 or a number from 0 to 63)
}

func ExampleCodePoint_UnmarshalText() {
	fs := flag.NewFlagSet("mirror", flag.ContinueOnError)
	fs.SetOutput(os.Stdout)
	mark := dscp.LE
	fs.TextVar(&mark, "dscp", mark, "mark of the transfer")
	if err := fs.Parse([]string{"-dscp", "cs1"}); err != nil {
		return
	}
	fmt.Println(mark)
	// Output: CS1
}

func ExampleCodePoint_NATSafe() {
	for _, cp := range []dscp.CodePoint{dscp.AF21, dscp.EF, dscp.CS1, dscp.AF11, dscp.LE, dscp.DF} {
		fmt.Println(cp, cp.NATSafe())
	}
	// Output:
	// AF21 lowdelay
	// EF lowdelay
	// CS1 throughput
	// AF11 throughput
	// LE throughput
	// DF DF
}

// A UDP socket receives the mark of each datagram in a control message.
func ExampleReceivedMark() {
	lc := dscp.ListenConfig{DSCP: dscp.EF}
	pc, err := lc.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pc.Close()
	conn := pc.(*dscp.UDPConn)
	if err := conn.ReceiveMarks(); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := conn.WriteTo([]byte("to myself"), conn.LocalAddr()); err != nil {
		fmt.Println(err)
		return
	}
	b, oob := make([]byte, 1500), make([]byte, 128)
	n, oobn, _, _, err := conn.ReadMsgUDP(b, oob)
	if err != nil {
		fmt.Println(err)
		return
	}
	mark, ecn, ok := dscp.ReceivedMark(oob[:oobn])
	fmt.Printf("%s: %v, ECN %02b, %v\n", b[:n], mark, ecn, ok)
	// Output: to myself: EF, ECN 00, true
}

// A program that reads its mark from a flag or a file checks it at the start.
func ExampleDialer_Validate() {
	d := dscp.Dialer{DSCP: 72}
	fmt.Println(d.Validate())
	d = dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}}
	fmt.Println(d.Validate())
	// Output:
	// dscp: Dialer.DSCP: code point 72 is out of range 0-63; as a TOS octet it is AF21 (18), see FromTOS
	// <nil>
}

func ExampleListenConfig_Validate() {
	lc := dscp.ListenConfig{DSCP: 184}
	fmt.Println(lc.Validate())
	// Output: dscp: ListenConfig.DSCP: code point 184 is out of range 0-63; as a TOS octet it is EF (46), see FromTOS
}

func ExampleCodePoint_Valid() {
	fmt.Println(dscp.AF21.Valid(), dscp.CodePoint(0x48).Valid())
	// Output: true false
}

// The same text read as a DSCP and as a TOS octet.
func ExampleParseTOS() {
	for _, s := range []string{"18", "0x48", "af21", "lowdelay"} {
		asDSCP, err := dscp.Parse(s)
		fmt.Printf("%-8s  Parse %v, %t;", s, asDSCP, err == nil)
		asOctet, err := dscp.ParseTOS(s)
		fmt.Printf(" ParseTOS %v, %t\n", asOctet, err == nil)
	}
	// Output:
	// 18        Parse AF21, true; ParseTOS DF, false
	// 0x48      Parse DF, false; ParseTOS AF21, true
	// af21      Parse AF21, true; ParseTOS AF21, true
	// lowdelay  Parse lowdelay, true; ParseTOS lowdelay, true
}

// AcceptConn returns the concrete type, so a server needs no type assertion.
func ExampleListener_AcceptConn() {
	lc := dscp.ListenConfig{DSCP: dscp.EF}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	conn, err := l.(*dscp.Listener).AcceptConn()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.DSCP())
	// Output: EF
}

// A socket that another package has made is marked and pinned.
func ExampleListenConfig_WrapPacket() {
	made, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	lc := dscp.ListenConfig{DSCP: dscp.EF}
	conn, err := lc.WrapPacket(made)
	if err != nil {
		fmt.Println(err)
		made.Close()
		return
	}
	defer conn.Close()
	fmt.Println(conn.DSCP(), errors.Is(conn.SetDSCP(dscp.CS1), dscp.ErrMidFlow))
	// Output: EF true
}

// PinUDP keeps a socket at the mark that it has. Here another package has marked it.
func ExamplePinUDP() {
	lc := dscp.ListenConfig{DSCP: dscp.AF41}
	bare, err := lc.Marked().ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := dscp.PinUDP(bare.(*net.UDPConn))
	if err != nil {
		fmt.Println(err)
		bare.Close()
		return
	}
	defer conn.Close()
	fmt.Println(conn.DSCP())
	// Output: AF41
}
