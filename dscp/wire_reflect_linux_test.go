package dscp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/long"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// eight are the classes of the group in most of these tests.
var eight = []dscp.CodePoint{dscp.CS1, dscp.LE, dscp.AF11, dscp.AF21, dscp.AF41, dscp.EF, dscp.CS6, 63}

// reflecting is a combination of the addresses to listen on and to dial.
type reflecting struct{ name, network, listen, dial string }

var reflectings = []reflecting{
	{"IPv4", "tcp4", "127.0.0.1:0", "127.0.0.1"},
	{"IPv4 wildcard", "tcp4", ":0", "127.0.0.1"},
	{"IPv6", "tcp6", "[::1]:0", "::1"},
	{"IPv6 wildcard", "tcp6", ":0", "::1"},
	{"dual stack, IPv4", "tcp", ":0", "127.0.0.1"},
	{"dual stack, IPv6", "tcp", ":0", "::1"},
	{"IPv4-mapped", "tcp", "[::ffff:127.0.0.1]:0", "127.0.0.1"},
}

// answered returns the mark with which a group answers a SYN.
func answered(lc *dscp.ListenConfig, syn dscp.CodePoint) dscp.CodePoint {
	for _, cp := range lc.Reflect {
		if lc.NATSafe {
			cp = cp.NATSafe()
		}
		if cp == syn {
			return cp
		}
	}
	if lc.NATSafe {
		return lc.DSCP.NATSafe()
	}
	return lc.DSCP
}

// An echoServer serves a listener until Accept fails, and checks the mark of every conn.
type echoServer struct {
	lc       *dscp.ListenConfig
	accepted atomic.Int64
	wrong    atomic.Int64 // conns whose mark does not answer that of the SYN
	unknown  atomic.Int64 // conns without PeerDSCP
	ended    chan error
	conns    sync.WaitGroup
}

func serveEcho(l net.Listener, lc *dscp.ListenConfig) *echoServer {
	s := &echoServer{lc: lc, ended: make(chan error, 1)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				s.conns.Wait()
				s.ended <- err
				return
			}
			s.accepted.Add(1)
			syn, known := c.(*dscp.Conn).PeerDSCP()
			switch {
			case !known:
				s.unknown.Add(1)
			case answered(lc, syn) != c.(*dscp.Conn).DSCP():
				s.wrong.Add(1)
			}
			s.conns.Go(func() {
				_, _ = io.Copy(c, c)
				c.Close()
			})
		}
	}()
	return s
}

// end closes the listener and waits for the server.
func (s *echoServer) end(t *testing.T, l net.Listener) {
	t.Helper()
	require.NoError(t, l.Close())
	select {
	case err := <-s.ended:
		require.ErrorIs(t, err, net.ErrClosed)
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not end within 20 s")
	}
}

// serve listens with lc, captures the packets of the listener, and runs an echo server that
// expects the answers of a group with the configuration answers.
func (r reflecting) serve(t *testing.T, lc, answers *dscp.ListenConfig) (net.Listener, *wire.Capture, *echoServer) {
	t.Helper()
	l, err := lc.Listen(t.Context(), r.network, r.listen)
	require.NoError(t, err)
	return l, wire.Start(t, "lo", listenPort(l)), serveEcho(l, answers)
}

// exchange sends data to the echo server, reads it back and closes c.
func exchange(c net.Conn) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	b := make([]byte, 1000)
	for range 2 {
		if _, err := c.Write(b); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	_, err := io.ReadAll(c)
	return err
}

// A client is the address and port of a client.
type client = netip.AddrPort

// requireAnswers requires that there were n connections to the port, each with a SYN-ACK,
// and that every packet of the server has the mark with which lc answers the last SYN of
// the client, since ports are reused. It returns the number of the server's packets.
func requireAnswers(t *testing.T, packets []wire.Packet, port uint16, lc *dscp.ListenConfig, n int) (sent int) {
	t.Helper()
	type connection struct {
		seq    uint32 // of the SYN, which may be retransmitted
		want   dscp.CodePoint
		synACK bool
	}
	latest, answers := map[client]*connection{}, 0
	for _, p := range packets {
		switch {
		case p.Dst.Port() == port && p.Has(wire.SYN):
			if c := latest[p.Src]; c == nil || c.seq != p.Seq {
				latest[p.Src] = &connection{seq: p.Seq, want: answered(lc, dscp.CodePoint(p.DSCP()))}
			}
		case p.Src.Port() == port:
			c := latest[p.Dst]
			require.NotNil(t, c, "no SYN before %v", p)
			sent++
			if p.DSCP() != uint8(c.want) {
				require.Fail(t, "foreign mark", "want %v: %v", c.want, p)
			}
			if p.Has(wire.SYN|wire.ACK) && !c.synACK {
				c.synACK = true
				answers++
			}
		}
	}
	require.Equal(t, n, answers, "connections with a SYN-ACK")
	return sent
}

// ask makes n connections, par at a time, with each code point in turn.
func (r reflecting) ask(t *testing.T, l net.Listener, n, par int) {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	var wg sync.WaitGroup
	var next, done atomic.Int64
	for range par {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(n) {
					return
				}
				c, err := (&dscp.Dialer{DSCP: dscp.CodePoint(i % 64)}).Dial("tcp", net.JoinHostPort(r.dial, port))
				if !assert.NoError(t, err) || !assert.NoError(t, exchange(c)) {
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, n, done.Load())
}

func listenPort(l net.Listener) uint16 { return addrPort(l.Addr()).Port() }

// TestWireReflect connects with all 64 code points to a group of eight classes, on every
// kind of address, and checks every packet of the server.
func TestWireReflect(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, r := range reflectings {
		for _, lc := range []*dscp.ListenConfig{
			{Reflect: eight},
			{DSCP: dscp.CS2, Reflect: append([]dscp.CodePoint{dscp.DF, dscp.CS2, dscp.CS1}, eight...)},
			{DSCP: dscp.EF, Reflect: []dscp.CodePoint{dscp.AF21, dscp.CS1, dscp.AF11, 5}, NATSafe: true},
		} {
			t.Run(r.name+"/"+mark(lc.DSCP), func(t *testing.T) {
				l, capture, server := r.serve(t, lc, lc)
				total := long.N(128, 640)
				r.ask(t, l, total, 8)
				capture.Until(wire.Closed(total))
				server.end(t, l)
				n := requireAnswers(t, capture.Stop(), listenPort(l), lc, total)
				assert.Zero(t, server.wrong.Load())
				assert.Zero(t, server.unknown.Load(), "conns without PeerDSCP")
				t.Logf("%d connections, %d packets of the server", total, n)
			})
		}
	}
}

// TestWireReflectBusy connects with 64 clients at a time.
func TestWireReflectBusy(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	r := reflectings[4]
	lc := &dscp.ListenConfig{Reflect: eight}
	l, capture, server := r.serve(t, lc, lc)
	total := long.N(1000, 10_000)
	begin := time.Now()
	r.ask(t, l, total, 64)
	took := time.Since(begin)
	capture.Until(wire.Closed(total))
	server.end(t, l)
	n := requireAnswers(t, capture.Stop(), listenPort(l), lc, total)
	assert.EqualValues(t, total, server.accepted.Load())
	assert.Zero(t, server.wrong.Load())
	t.Logf("%d connections in %v, %d packets of the server", total, took.Round(time.Millisecond), n)
}

// TestWireReflectSysctl sets tcp_reflect_tos, so that every client is answered in its own
// mark, whether Reflect has it or not.
func TestWireReflectSysctl(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_reflect_tos", "1")
	for _, r := range reflectings {
		t.Run(r.name, func(t *testing.T) {
			lc := &dscp.ListenConfig{DSCP: dscp.CS2, Reflect: eight}
			all := &dscp.ListenConfig{Reflect: codePoints()}
			l, capture, server := r.serve(t, lc, all)
			r.ask(t, l, 128, 8)
			capture.Until(wire.Closed(128))
			server.end(t, l)
			requireAnswers(t, capture.Stop(), listenPort(l), all, 128)
			assert.Zero(t, server.wrong.Load())
		})
	}
}

// TestWireReflectSYNCookies forces SYN cookies. Then the mark of the ACK selects the class:
// a client whose ACK has another mark than its SYN is answered in the class of the ACK
// from then on.
func TestWireReflectSYNCookies(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	testns.Current(t).Sysctl("net.ipv4.tcp_syncookies", "2")
	for _, r := range reflectings {
		t.Run(r.name, func(t *testing.T) {
			lc := &dscp.ListenConfig{DSCP: dscp.CS2, Reflect: eight}
			l, capture, server := r.serve(t, lc, lc)
			r.ask(t, l, 128, 8)
			capture.Until(wire.Closed(128))
			requireAnswers(t, capture.Packets(), listenPort(l), lc, 128)
			assert.EqualValues(t, 128, server.unknown.Load(), "conns without PeerDSCP")

			// AF21 on the SYN, CS1 on the ACK, which the client delays until it has data.
			wired := r.remarkBetween(t, l, dscp.AF21, dscp.CS1)
			closed := wire.Closed(1)
			var synACK, rest []uint8
			for _, p := range capture.Until(func(p wire.Packet) bool { return wired.has(p) && closed(p) }) {
				switch {
				case p.Src != wired.server || !wired.has(p):
				case p.Has(wire.SYN):
					synACK = append(synACK, p.DSCP())
				default:
					rest = append(rest, p.DSCP())
				}
			}
			require.NotEmpty(t, synACK)
			require.NotEmpty(t, rest)
			for _, cp := range synACK {
				assert.EqualValues(t, dscp.AF21, cp)
			}
			for _, cp := range rest {
				assert.EqualValues(t, dscp.CS1, cp)
			}
			server.end(t, l)
		})
	}
}

// TestWireReflectSYNDecides checks that without SYN cookies the mark of the SYN selects
// the class, although the ACK has another mark.
func TestWireReflectSYNDecides(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	for _, r := range reflectings {
		t.Run(r.name, func(t *testing.T) {
			lc := &dscp.ListenConfig{DSCP: dscp.CS2, Reflect: eight}
			l, capture, server := r.serve(t, lc, lc)
			packets := r.remarkBetween(t, l, dscp.AF21, dscp.CS1).packets(capture)
			server.end(t, l)
			requireAnswers(t, packets, listenPort(l), lc, 1)
		})
	}
}

// remarkBetween exchanges data with l over a bare socket whose SYN has one mark and whose
// other packets, including the ACK of the handshake, have another.
func (r reflecting) remarkBetween(t *testing.T, l net.Listener, syn, rest dscp.CodePoint) flow {
	t.Helper()
	mark := func(c syscall.RawConn, cp dscp.CodePoint) error {
		level, option := family{dial: r.dial}.sent()
		var err error
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, int(cp.TOS())) })
		return errors.Join(cerr, err)
	}
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		err := c.Control(func(fd uintptr) {
			assert.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1), "delays the ACK until there is data")
		})
		return errors.Join(err, mark(c, syn))
	}}
	d.SetMultipathTCP(false)
	c, err := d.Dial("tcp", net.JoinHostPort(r.dial, strconv.Itoa(int(listenPort(l)))))
	require.NoError(t, err)
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, mark(raw, rest))
	wired := flowOf(c)
	require.NoError(t, exchange(c))
	return wired
}

// freePort returns an address with a port that was free a moment ago.
func freePort(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// mayFilter reports whether this process may attach a filter to a TCP socket.
func mayFilter(t *testing.T) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd) //nolint:errcheck // not used
	all := unix.SockFilter{Code: unix.BPF_RET, K: 0xffffffff}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &all}) == nil
}

// TestWireReflectOpening sends SYNs while groups open and close on the port. Each SYN is
// answered with the right mark or not at all, even those with the highest TTL.
func TestWireReflectOpening(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	lc := &dscp.ListenConfig{DSCP: dscp.CS2, Reflect: eight}
	filters := mayFilter(t)
	for _, r := range []reflecting{reflectings[0], reflectings[4], reflectings[5]} {
		t.Run(r.name, func(t *testing.T) {
			address := freePort(t, r.network, r.listen)
			port := netip.MustParseAddrPort(address).Port()
			capture := wire.Start(t, "lo", port)
			ctx, stop := context.WithCancel(t.Context())
			var clients sync.WaitGroup
			for i := range 16 {
				cp := append(eight, dscp.CS3, dscp.DF)[i%10]
				clients.Go(func() {
					d := dscp.Dialer{DSCP: cp, NetDialer: &net.Dialer{Timeout: 50 * time.Millisecond, Control: func(_, _ string, c syscall.RawConn) error {
						return c.Control(func(fd uintptr) {
							if i%2 == 0 && filters && r.dial == "::1" {
								assert.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255))
							} else if i%2 == 0 && filters {
								assert.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, 255))
							}
						})
					}}}
					for ctx.Err() == nil {
						c, err := d.Dial("tcp", net.JoinHostPort(r.dial, strconv.Itoa(int(port))))
						if err != nil {
							continue
						}
						_, _ = c.Write([]byte{0})
						_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
						_, _ = c.Read(make([]byte, 1))
						c.Close()
					}
				})
			}
			opened := long.N(60, 1000)
			for range opened {
				l, err := lc.Listen(ctx, r.network, address)
				require.NoError(t, err)
				server := serveEcho(l, lc)
				// Time is what is tested: the group stays open until the first client,
				// but at most about 4 ms, so that many SYNs arrive while it opens or closes.
				for range 4 {
					if server.accepted.Load() > 0 {
						break
					}
					time.Sleep(time.Millisecond)
				}
				server.end(t, l)
				require.Zero(t, server.wrong.Load())
			}
			stop()
			clients.Wait()
			synACKs, others := 0, 0
			want := map[client]dscp.CodePoint{} // by the last SYN, since ports are reused
			for _, p := range capture.Stop() {
				switch {
				case p.Dst.Port() == port && p.Has(wire.SYN):
					want[p.Src] = answered(lc, dscp.CodePoint(p.DSCP()))
				case p.Src.Port() != port || p.Has(wire.RST):
					// A reset without a socket has the mark of the packet that it answers.
				default:
					cp, known := want[p.Dst]
					if !known || p.DSCP() != uint8(cp) {
						require.Fail(t, "foreign mark", "want %v: %v", cp, p)
					}
					if p.Has(wire.SYN) {
						synACKs++
					} else {
						others++
					}
				}
			}
			assert.Positive(t, synACKs)
			t.Logf("%d groups opened and closed, %d SYN-ACKs and %d other packets", opened, synACKs, others)
		})
	}
}
