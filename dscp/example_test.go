//go:build unix

package dscp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"

	"github.com/godscp/godscp/dscp"
)

// echo is a server for the examples.
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

	d := dscp.Dialer{DSCP: dscp.AF21}
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.(*dscp.Conn).DSCP())
	// Output: AF21
}

// Behind a box that resets flows whose precedence changes, the values of
// OpenSSH 7.7 are the safe ones.
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

// A conn keeps its mark, whoever asks.
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

func ExampleListenConfig() {
	lc := dscp.ListenConfig{DSCP: dscp.AF21}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go http.Serve(l, http.NotFoundHandler())

	// Any client; its own mark is its own business.
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 404
}

// http.Transport takes the method as it is. With a DialContext of one's own it
// stays at HTTP/1.1 unless ForceAttemptHTTP2 is set.
func ExampleDialer_DialContext() {
	d := dscp.Dialer{DSCP: dscp.AF11}
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext, ForceAttemptHTTP2: true}}
	_ = client
}

// Libraries that insist on a *net.Dialer get a marked one. Its conns are bare.
func ExampleDialer_Marked() {
	d := dscp.Dialer{DSCP: dscp.AF21}
	td := tls.Dialer{NetDialer: d.Marked()}
	_ = td
}

func ExampleControl() {
	d := net.Dialer{Control: dscp.Control(dscp.EF)}
	lc := net.ListenConfig{Control: dscp.Control(dscp.EF)}
	_, _ = d, lc
}

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

// A datagram socket reads the mark of each datagram from its control messages.
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

// A program that reads its mark from a flag or a file says at once what is wrong
// with it.
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

// The same spellings as a DSCP, as a TOS octet, and as an octet that is a number
// already.
func ExampleParseTOS() {
	for _, s := range []string{"18", "0x48", "af21", "lowdelay"} {
		asDSCP, err := dscp.Parse(s)
		fmt.Printf("%-8s  Parse %v, %t;", s, asDSCP, err == nil)
		asOctet, err := dscp.ParseTOS(s)
		fmt.Printf(" ParseTOS %v, %t\n", asOctet, err == nil)
	}
	fmt.Println("FromTOS ", dscp.FromTOS(18), dscp.FromTOS(0x48))
	// Output:
	// 18        Parse AF21, true; ParseTOS DF, false
	// 0x48      Parse DF, false; ParseTOS AF21, true
	// af21      Parse AF21, true; ParseTOS AF21, true
	// lowdelay  Parse lowdelay, true; ParseTOS lowdelay, true
	// FromTOS  lowdelay AF21
}

// A server that wants the marks of its connections needs no type assertion.
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

// A socket that another package has made is marked, and then kept at that mark.
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

// PinUDP keeps a socket at the mark that it has.
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

// A client that marks its SYN is answered with that mark, from the SYN-ACK on, if the
// server offers it.
func ExampleListenConfig_reflect() {
	lc := dscp.ListenConfig{DSCP: dscp.AF21, Reflect: []dscp.CodePoint{dscp.CS1, dscp.EF}}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("CS1 AF21") // not Linux
		return
	}
	if err != nil {
		panic(err)
	}
	defer l.Close()
	for _, cp := range []dscp.CodePoint{dscp.CS1, dscp.AF41} { // AF41 is not offered
		client, err := (&dscp.Dialer{DSCP: cp}).Dial("tcp", l.Addr().String())
		if err != nil {
			panic(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			panic(err)
		}
		defer server.Close()
		fmt.Print(server.(*dscp.Conn).DSCP(), " ")
	}
	// Output: CS1 AF21
}

// Audio and video share a socket, as RTP has them do; each has its own mark.
func ExampleUDPConn_WriteMarked() {
	far, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer far.Close()
	d := dscp.Dialer{DSCP: dscp.EF, Datagrams: []dscp.CodePoint{dscp.AF41}}
	c, err := d.Dial("udp", far.LocalAddr().String())
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("<nil> <nil> true") // a system that cannot mark single datagrams
		return
	}
	if err != nil {
		panic(err)
	}
	defer c.Close()
	conn := c.(*dscp.UDPConn)
	_, audio := conn.Write([]byte("audio")) // with DSCP
	_, video := conn.WriteMarked([]byte("video"), netip.AddrPort{}, dscp.AF41)
	_, other := conn.WriteMarked([]byte("other"), netip.AddrPort{}, dscp.CS1)
	fmt.Println(audio, video, errors.Is(other, dscp.ErrMidFlow))
	// Output: <nil> <nil> true
}
