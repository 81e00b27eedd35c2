package dscp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dialer"
	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/nobody"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/tos"
	"github.com/godscp/godscp/internal/trial"
)

// TestErrorTextsOfSockets holds the texts of what fails with a socket. It is not
// parallel, since some rows have the package behave as on another system.
func TestErrorTextsOfSockets(t *testing.T) {
	trial.Need(t, trial.Inherited, trial.MinTTL, trial.Messages)
	const server = "127.0.0.1:22" // no row connects to it
	marked := &dscp.Dialer{DSCP: dscp.AF21}
	errMine := errors.New("mine")
	var mark *dscp.MarkError
	var unsupported *dscp.UnsupportedError
	outOfRange, midFlow := []error{dscp.ErrRange}, []error{dscp.ErrMidFlow}
	closed, none := []error{net.ErrClosed}, []error{errors.ErrUnsupported}

	for _, e := range []errorText{
		{name: "dial with a DSCP of 64", is: outOfRange,
			call: func(*testing.T) error { return errOf((&dscp.Dialer{DSCP: 64}).Dial("tcp", server)) },
			text: `dial tcp 127.0.0.1:port: dscp: code point 64 is out of range 0-63; as a TOS octet it is CS2 (16), see FromTOS`},
		{name: "dial with a bad Fallback", is: outOfRange,
			call: func(*testing.T) error {
				return errOf((&dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{184}}).Dial("tcp", server))
			},
			text: `dial tcp 127.0.0.1:port: dscp: code point 184 is out of range 0-63; as a TOS octet it is EF (46), see FromTOS`},
		{name: "dial with a negative FallbackDelay",
			call: func(*testing.T) error { return errOf((&dscp.Dialer{FallbackDelay: -time.Second}).Dial("tcp", server)) },
			text: `dial tcp 127.0.0.1:port: dscp: Dialer.FallbackDelay is negative: -1s`},
		{name: "dial with a nil Dialer",
			call: func(*testing.T) error { return errOf((*dscp.Dialer)(nil).Dial("tcp", server)) },
			text: `dial tcp 127.0.0.1:port: dscp: nil Dialer`},
		{name: "dial on Windows", is: none, as: &unsupported,
			call: func(t *testing.T) error {
				dscp.OnHost(t, "windows")
				return errOf(marked.Dial("tcp", server))
			},
			text: `dial tcp 127.0.0.1:port: dscp: unsupported on windows: IP_TOS on tcp for AF21: ` +
				`the system accepts the option and ignores it; use a policy-based QoS rule instead`},
		{name: "dial, refused", is: []error{syscall.ECONNREFUSED},
			call: func(t *testing.T) error { return errOf(marked.Dial("tcp", refusingAddress(t))) },
			text: `dial tcp 127.0.0.1:port: with DSCP AF21: connect: connection refused`},
		{name: "dial, refused with every mark of Fallback", is: []error{syscall.ECONNREFUSED},
			call: func(t *testing.T) error {
				return errOf((&dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}}).Dial("tcp", refusingAddress(t)))
			},
			text: `dial tcp 127.0.0.1:port: connect: connection refused`},
		{name: "dial with Fallback, too late", is: []error{context.DeadlineExceeded},
			call: func(*testing.T) error {
				late := &net.Dialer{Deadline: time.Now().Add(-time.Second)}
				return errOf((&dscp.Dialer{NetDialer: late, DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}}).Dial("tcp", server))
			},
			text: `dial tcp 127.0.0.1:port: with DSCP AF21: i/o timeout; with DSCP DF: not started`},
		{name: "dial with Fallback, cancelled", is: []error{context.Canceled},
			call: func(t *testing.T) error {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				d := dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}}
				return errOf(d.DialContext(ctx, "tcp", server))
			},
			text: `dial tcp 127.0.0.1:port: with DSCP AF21: operation was canceled; with DSCP DF: not started`},
		{name: "dial, the caller's hook fails", is: []error{errMine},
			call: func(t *testing.T) error {
				own := dialer.With(nil, func(context.Context, string, string, syscall.RawConn) error { return errMine })
				return errOf((&dscp.Dialer{NetDialer: own, DSCP: dscp.AF21}).Dial("tcp", server))
			},
			text: `dial tcp 127.0.0.1:port: with DSCP AF21: mine`},

		{name: "SetDSCP of a live flow", is: midFlow,
			call: func(t *testing.T) error { return dialedConn(t).SetDSCP(dscp.CS1) },
			text: `set tcp 127.0.0.1:port->127.0.0.1:port: dscp: cannot change the DSCP of a live flow from AF21 to CS1`},
		{name: "SetDSCP of an octet", is: outOfRange,
			call: func(t *testing.T) error { return dialedConn(t).SetDSCP(72) },
			text: `set tcp 127.0.0.1:port->127.0.0.1:port: ` +
				`dscp: code point 72 is out of range 0-63; as a TOS octet it is AF21 (18), see FromTOS`},
		{name: "x/net's SetTOS of a live flow", is: midFlow,
			call: func(t *testing.T) error { return ipv4.NewConn(dialedConn(t)).SetTOS(0x20) },
			text: `raw-control tcp 127.0.0.1:port->127.0.0.1:port: dscp: cannot change the DSCP of a live flow from AF21 to CS1`},
		{name: "SyscallConn of a live flow", is: midFlow,
			call: func(t *testing.T) error { return setTOS(dialedConn(t), 0x20) },
			text: `raw-control tcp 127.0.0.1:port->127.0.0.1:port: dscp: cannot change the DSCP of a live flow from AF21 to CS1`},
		{name: "Verify after a change", is: midFlow,
			call: func(t *testing.T) error {
				c := dialedConn(t)
				require.NoError(t, setTOS(c.TCPConn, 0x20))
				return c.Verify()
			},
			text: `verify tcp 127.0.0.1:port->127.0.0.1:port: dscp: the DSCP of a live flow was changed from AF21 to CS1`},
		{name: "Verify of a closed conn", is: closed,
			call: func(t *testing.T) error {
				c := dialedConn(t)
				c.Close()
				return c.Verify()
			},
			text: `verify tcp 127.0.0.1:port->127.0.0.1:port: use of closed network connection`},
		{name: "Pin of a closed conn", is: closed,
			call: func(t *testing.T) error {
				c := dialedConn(t)
				c.Close()
				return errOf(dscp.Pin(c.TCPConn))
			},
			text: `pin tcp 127.0.0.1:port->127.0.0.1:port: use of closed network connection`},
		{name: "Pin of nil", is: []error{syscall.EINVAL},
			call: func(*testing.T) error { return errOf(dscp.Pin(nil)) },
			text: `pin tcp: invalid argument`},
		{name: "Pin of a conn without a socket", is: []error{syscall.EINVAL},
			call: func(*testing.T) error { return errOf(dscp.Pin(&net.TCPConn{})) },
			text: `pin: invalid argument`},

		{name: "WriteMarked with a mark that is not in Datagrams", is: midFlow,
			call: func(t *testing.T) error {
				return errOf(dialedUDPConn(t).WriteMarked([]byte("x"), netip.AddrPort{}, dscp.CS1))
			},
			text: `write udp 127.0.0.1:port->127.0.0.1:port: ` +
				`dscp: cannot change the DSCP of a live flow from EF to CS1 (CS1 is not in Datagrams)`},
		{name: "WriteBatch with a mark that is not in Datagrams", is: midFlow,
			call: func(t *testing.T) error {
				plain := ipv4.Message{Buffers: [][]byte{[]byte("x")}}
				other := plain
				other.OOB = tos.AppendControl(nil, tos.IPv4TOS, 0x20)
				return errOf(dialedUDPConn(t).WriteBatch([]ipv4.Message{plain, other}, 0))
			},
			text: `write udp 127.0.0.1:port->127.0.0.1:port: message 1: ` +
				`dscp: cannot change the DSCP of a live flow from EF to CS1 (CS1 is not in Datagrams)`},
		{name: "Datagrams for IPv4 on OpenBSD", is: none, as: &unsupported,
			call: func(t *testing.T) error {
				dscp.OnHost(t, "openbsd")
				lc := dscp.ListenConfig{DSCP: dscp.EF, Datagrams: []dscp.CodePoint{dscp.AF41}}
				return errOf(lc.ListenPacket(t.Context(), "udp4", "127.0.0.1:0"))
			},
			text: `pin udp 127.0.0.1:port: dscp: unsupported on openbsd: IP_TOS on udp4 for EF: ` +
				`the system does not take it in a control message`},

		{name: "Listen for both families on macOS", is: none, as: &unsupported,
			call: func(t *testing.T) error {
				requireIPv6(t)
				dscp.OnHost(t, "darwin")
				return errOf((&dscp.ListenConfig{DSCP: dscp.AF21}).Listen(t.Context(), "tcp", ":0"))
			},
			text: `listen tcp :0: dscp: unsupported on darwin: IP_TOS on tcp6 for AF21: ` +
				`an IPv6 socket cannot mark packets to IPv4 peers; listen on tcp4 and tcp6 (udp4 and udp6) instead`},
		{name: "Listen with Reflect, in use", is: []error{syscall.EADDRINUSE},
			call: func(t *testing.T) error {
				lc := dscp.ListenConfig{Reflect: []dscp.CodePoint{dscp.CS1}}
				return errOf(lc.Listen(t.Context(), "tcp", foreignListener(t, false).Addr().String()))
			},
			text: `listen tcp 127.0.0.1:port: bind: address already in use`},
		{name: "Listen with Reflect on Windows", is: none, as: &unsupported,
			call: func(t *testing.T) error {
				dscp.OnHost(t, "windows")
				return errOf((&dscp.ListenConfig{Reflect: []dscp.CodePoint{dscp.CS1}}).Listen(t.Context(), "tcp", server))
			},
			text: `listen tcp 127.0.0.1:port: dscp: unsupported on windows: SO_ATTACH_REUSEPORT_CBPF on tcp for CS1: ` +
				`only Linux can choose a listening socket by the mark of the SYN; leave Reflect empty`},
		{name: "Wrap with Reflect", is: none, as: &unsupported,
			call: func(t *testing.T) error {
				return errOf((&dscp.ListenConfig{Reflect: []dscp.CodePoint{dscp.CS1}}).Wrap(foreignListener(t, false)))
			},
			text: `wrap tcp4 127.0.0.1:port: dscp: unsupported on linux: SO_REUSEPORT on tcp4 for CS1: ` +
				`an existing listener cannot reflect; use Listen, or leave Reflect empty`},
		{name: "Wrap of a Multipath TCP listener", is: none, as: &unsupported,
			call: func(t *testing.T) error {
				return errOf((&dscp.ListenConfig{DSCP: dscp.AF21}).Wrap(foreignListener(t, true)))
			},
			text: `wrap tcp4 127.0.0.1:port: dscp: unsupported on linux: IPPROTO_MPTCP on tcp4 for AF21: ` +
				`marks do not hold on every subflow; use SetMultipathTCP(false)`},
		{name: "Wrap of a closed listener", is: closed, as: &mark,
			call: func(t *testing.T) error {
				l := foreignListener(t, false)
				l.Close()
				return errOf((&dscp.ListenConfig{DSCP: dscp.AF21}).Wrap(l))
			},
			text: `wrap tcp4 127.0.0.1:port: dscp: IP_TOS = AF21 (0x48): use of closed network connection`},
		{name: "Accept of a conn that another mark was given to", as: &mark,
			call: func(t *testing.T) error {
				l, err := (&dscp.ListenConfig{DSCP: dscp.AF21}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
				require.NoError(t, err)
				defer l.Close()
				require.NoError(t, setTOS(l.(*dscp.Listener).TCPListener, 0x20))
				c, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				defer c.Close()
				return errOf(l.Accept())
			},
			text: `accept tcp 127.0.0.1:port->127.0.0.1:port: dscp: IP_TOS = AF21 (0x48): ` +
				`the accepted connection has CS1 (0x20) instead of the listener's mark`},
	} {
		t.Run(e.name, e.run)
	}
}

// TestErrorTextsOfASealedProcess holds the texts of what [dscp.Seal] refuses.
func TestErrorTextsOfASealedProcess(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	seal(t)
	midFlow := []error{dscp.ErrMidFlow}
	for _, e := range []errorText{
		{name: "SetDSCP", is: midFlow,
			call: func(t *testing.T) error { return dialedConn(t).SetDSCP(dscp.CS1) },
			text: `set tcp 127.0.0.1:port->127.0.0.1:port: dscp: cannot change the DSCP of a live flow from AF21 to CS1`},
		{name: "x/net's SetTOS", is: midFlow,
			call: func(t *testing.T) error { return ipv4.NewConn(dialedConn(t)).SetTOS(0x20) },
			text: `raw-control tcp 127.0.0.1:port->127.0.0.1:port: dscp: cannot change the DSCP of a live flow: the process is sealed`},
		{name: "a setsockopt on the embedded conn", is: []error{syscall.EPERM},
			call: func(t *testing.T) error { return setTOS(dialedConn(t).TCPConn, 0x20) },
			text: `setsockopt: operation not permitted`},
		{name: "Control on a connected socket", is: midFlow,
			call: func(t *testing.T) error {
				c := dialedConn(t)
				raw, err := c.TCPConn.SyscallConn()
				require.NoError(t, err)
				return dscp.Control(dscp.CS1)("tcp4", c.RemoteAddr().String(), raw)
			},
			text: `dscp: cannot change the DSCP of a live flow: the process is sealed and the socket is connected`},
	} {
		t.Run(e.name, e.run)
	}
}

// dialedConn returns a conn that is pinned at AF21.
func dialedConn(t *testing.T) *dscp.Conn {
	l := foreignListener(t, false)
	c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*dscp.Conn)
}

// dialedUDPConn returns a conn that is pinned at EF and may send datagrams with AF41.
func dialedUDPConn(t *testing.T) *dscp.UDPConn {
	d := dscp.Dialer{DSCP: dscp.EF, Datagrams: []dscp.CodePoint{dscp.AF41}}
	c, err := d.Dial("udp4", "127.0.0.1:9")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*dscp.UDPConn)
}

// foreignListener returns a listener that this package has not made.
func foreignListener(t *testing.T, mptcp bool) *net.TCPListener {
	var lc net.ListenConfig
	lc.SetMultipathTCP(mptcp)
	l, err := lc.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	if tos.IsMPTCP(raw) != mptcp {
		testns.Lacks(t, "Multipath TCP is switched off here")
	}
	return l.(*net.TCPListener)
}

// refusingAddress returns an address on which no socket listens.
func refusingAddress(t *testing.T) string {
	a, err := nobody.Open("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	return a.String()
}

// requireIPv6 skips the test where an address without a host means IPv4 alone.
func requireIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	l.Close()
}

// setTOS sets IP_TOS through the SyscallConn method of c.
func setTOS(c syscall.Conn, octet int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, octet))
	}); err != nil {
		return err
	}
	return failed
}
