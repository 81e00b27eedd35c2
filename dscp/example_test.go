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
	// dscp: code point out of range: 0x48 is not within 0 to 63; 72 is a TOS octet: AF21 = 18?
	// dscp: not a code point: "best" (want a name such as AF21 or a number from 0 to 63)
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

// What becomes of a mark on Wi-Fi that follows RFC 8325, on Wi-Fi that takes the
// upper three bits, and in the queue of the Linux host that sends it over IPv4.
func ExampleCodePoint_AccessCategory() {
	for _, cp := range []dscp.CodePoint{dscp.EF, dscp.AF41, dscp.AF21, dscp.DF, dscp.CS1, dscp.LowDelay} {
		old := dscp.UserPriority(cp.Precedence()).AccessCategory()
		fmt.Printf("%-8v %v  %v  %d\n", cp, cp.AccessCategory(), old, cp.SocketPriority())
	}
	// Output:
	// EF       AC_VO  AC_VI  4
	// AF41     AC_VI  AC_VI  2
	// AF21     AC_BE  AC_BK  2
	// DF       AC_BE  AC_BE  0
	// CS1      AC_BK  AC_BK  0
	// lowdelay AC_BE  AC_BE  6
}

func ExampleServiceClass() {
	fmt.Println(dscp.LowLatencyData.CodePoint(), dscp.Telephony.CodePoint(), dscp.LowPriorityData.CodePoint())
	fmt.Println(dscp.CS1.ServiceClass())
	// Output:
	// AF21 EF LE
	// Low-Priority Data true
}
