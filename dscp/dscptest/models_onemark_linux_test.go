package dscptest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/long"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// sensors are the sensors on the families on which they work.
var sensors = []struct {
	sensor  dscptest.Sensor
	address string
}{
	{dscptest.WireEvery, "127.0.0.1:0"},
	{dscptest.WireEvery, "[::1]:0"},
	{dscptest.WireLatest, "[::1]:0"},
	{dscptest.SocketOption, "127.0.0.1:0"},
}

// workers is how many flows run at once.
const workers = 48

// TestOneMarkSeesChangeBeforeClose changes the mark right before the test ends: Close
// samples once more.
func TestOneMarkSeesChangeBeforeClose(t *testing.T) {
	dscptest.Require(t, dscptest.BoxIPv4, dscptest.BoxIPv6)
	eachFamily(t, func(t *testing.T, address string) {
		server := serve(t, address, echo)
		for range 20 {
			r := &recorder{TB: t}
			box := dscptest.NewMiddlebox(r, server, dscptest.OneMark)
			c := dial(t, box.Addr())
			require.NoError(t, ask(c, "before"))
			require.NoError(t, mark(c, dscp.AF21))
			_, err := c.Write([]byte("last"))
			require.NoError(t, err)
			requireArrived(t, c)
			r.finish()
			require.Len(t, r.errors, 1)
		}
	})
}

// requireArrived waits until the kernel of the other end has acknowledged all that c
// sent. On loopback Linux may leave the delivery to ksoftirqd.
func requireArrived(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var unacknowledged int
		var errno error
		require.NoError(t, raw.Control(func(fd uintptr) { unacknowledged, errno = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }))
		require.NoError(t, errno)
		return unacknowledged == 0
	}, 10*time.Second, time.Millisecond)
}

// TestCorrectProgramsAreNotBlamed has programs that keep their marks use boxes with
// OneMark, on a misleading network: it loses and reorders segments, another host sends
// packets with the addresses of the flows, segments are above 64 KiB, and ports are
// used again at once. Flows are short or long, and end in every way. The boxes must
// report none.
func TestCorrectProgramsAreNotBlamed(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	here := testns.Current(t)
	here.Sysctl("net.ipv4.tcp_ecn", "1")
	here.Sysctl("net.ipv4.tcp_tw_reuse", "1")
	bigTCP(t)
	loseSegments(t)
	spoofer := newSpoofer(t)
	total := 0
	for _, s := range sensors {
		t.Run(fmt.Sprintf("%v/%s", s.sensor, s.address), func(t *testing.T) {
			r := &recorder{TB: t}
			server := newCorrectServer(t, s.address)
			box := dscptest.Config{Upstream: server.tcp, Models: []dscptest.Model{dscptest.OneMark}, Sensor: s.sensor}.NewMiddlebox(r)
			datagrams := dscptest.Config{Upstream: server.udp, Models: []dscptest.Model{dscptest.OneMark}, Sensor: s.sensor}.NewMiddlebox(r)
			stop := spoofer.spoof(box, netip.MustParseAddrPort(server.tcp))
			flows := long.N(64, 5000)
			if s.sensor != dscptest.WireEvery {
				flows = long.N(128, 10_000) // of only one family
			}
			var failed atomic.Int32
			each(flows, func(i int, random *rand.Rand) {
				if err := correctProgram(box.Addr(), datagrams.UDPAddr(), i, random); err != nil {
					failed.Add(1)
					t.Logf("flow %d: %v", i, err)
				}
			})
			stop()
			r.finish()
			assert.Empty(t, r.errors, "reported")
			assert.LessOrEqual(t, int(failed.Load()), flows/100, "failed programs")
			n := len(box.Flows()) + len(datagrams.Flows())
			total += n
			t.Logf("%d flows, %d of them over UDP, %d spoofed packets, %d reported", n, len(datagrams.Flows()), spoofer.sent.Swap(0), len(r.errors))
		})
	}
	t.Logf("%d flows of correct programs", total)
}

// loseSegments makes loopback drop some segments, so that they are sent again. If the
// kernel can, it also duplicates and reorders some.
func loseSegments(t *testing.T) {
	t.Helper()
	netem, err := exec.Command("tc", "qdisc", "add", "dev", "lo", "root", "netem",
		"loss", "0.5%", "duplicate", "0.5%", "delay", "100us", "reorder", "99%").CombinedOutput()
	if err == nil {
		return
	}
	testns.Require(t, "nft")
	testns.Current(t).Input("table inet loss { chain input { type filter hook input priority 0; meta l4proto tcp numgen random mod 200 == 0 drop; }; }", "nft", "-f", "-")
	t.Logf("no netem, so segments are dropped but not reordered: %s", netem)
}

// each runs f for 0 to n-1, several at once, with a source of random numbers.
func each(n int, f func(i int, random *rand.Rand)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var next atomic.Int32
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i, rand.New(rand.NewPCG(uint64(i), 1)))
			}
		})
	}
}

// A correctServer echoes, marked CS2 over TCP and unmarked over UDP.
type correctServer struct{ tcp, udp string }

func newCorrectServer(t *testing.T, address string) correctServer {
	t.Helper()
	return correctServer{
		tcp: serveMarked(t, address, dscp.CS2, func(c net.Conn) {
			var how [1]byte
			if _, err := io.ReadFull(c, how[:]); err != nil {
				return
			}
			switch how[0] {
			case 'r': // reset
				c.(*net.TCPConn).SetLinger(0)
			case 'w': // read nothing
				// Time is what is tested: the sender probes the full window after its
				// retransmission timeout, 200 ms at least.
				time.Sleep(300 * time.Millisecond)
				io.Copy(io.Discard, c)
			default:
				io.Copy(c, c)
			}
		}),
		udp: echoUDP(t, address, -1),
	}
}

// correctProgram runs a program with one mark.
func correctProgram(box, datagrams string, i int, random *rand.Rand) error {
	cp := dscp.CodePoint(random.IntN(64))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if i%10 == 9 {
		return correctDatagrams(ctx, datagrams, cp, i, random)
	}
	d := dscp.Dialer{DSCP: cp, NetDialer: &net.Dialer{KeepAlive: -1}}
	if i%7 == 0 {
		// A fixed port, used again while the other side may still be in TIME_WAIT.
		local := netip.AddrPortFrom(netip.MustParseAddrPort(box).Addr(), uint16(10_000+i/7%64))
		d.NetDialer.LocalAddr = net.TCPAddrFromAddrPort(local)
		d.NetDialer.Control = func(_, _ string, c syscall.RawConn) (err error) {
			if cerr := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			}); cerr != nil {
				return cerr
			}
			return err
		}
	}
	conn, err := d.DialContext(ctx, "tcp", box)
	if err != nil {
		if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL) {
			return nil // still in use
		}
		return err
	}
	c := conn.(*dscp.Conn)
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	how := byte('e')
	switch i % 50 {
	case 1:
		how = 'r'
	case 2:
		how = 'w'
	}
	if _, err := c.Write([]byte{how}); err != nil {
		return err
	}
	switch how {
	case 'r':
		c.SetDeadline(time.Now().Add(time.Second)) // a lost reset is not sent again
		io.Copy(io.Discard, c)
		return nil
	case 'w': // the peer's window is probed
		_, err := c.Write(make([]byte, 4<<20))
		return err
	}
	for range 1 + random.IntN(5) {
		if err := c.SetDSCP(cp ^ 1); !errors.Is(err, dscp.ErrMidFlow) {
			return fmt.Errorf("SetDSCP: %v", err)
		}
		if err := mark(c, cp^8); !errors.Is(err, dscp.ErrMidFlow) {
			return fmt.Errorf("x/net: %v", err)
		}
		if err := ask(c, "0123456789"); err != nil {
			return err
		}
	}
	switch i % 20 {
	case 3: // bulk, in segments above 64 KiB
		const bulk = 512 << 10
		go c.Write(make([]byte, bulk))
		if _, err := io.CopyN(io.Discard, c, bulk); err != nil {
			return err
		}
	case 4: // keep-alives
		if i%100 == 4 {
			c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 5})
			if err := awaitSegment(c, 10*time.Second); err != nil { // the answer to a keep-alive
				return err
			}
			return ask(c, "still here")
		}
	case 5: // reset
		c.SetLinger(0)
	case 6: // half-closed
		if err := c.CloseWrite(); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c)
		return err
	case 7: // the last segment right before the FIN
		_, err := c.Write([]byte("bye"))
		return err
	}
	return nil
}

// awaitSegment waits until a segment arrives on a connection.
func awaitSegment(c syscall.Conn, patience time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	arrived := func() (n uint32, err error) {
		cerr := raw.Control(func(fd uintptr) {
			var info *unix.TCPInfo
			if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				n = info.Segs_in
			}
		})
		return n, errors.Join(cerr, err)
	}
	before, err := arrived()
	for end := time.Now().Add(patience); err == nil; time.Sleep(5 * time.Millisecond) {
		var now uint32
		if now, err = arrived(); err == nil && now != before {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("no segment has arrived")
		}
	}
	return err
}

// correctDatagrams has one socket after another use a port, each with one mark.
func correctDatagrams(ctx context.Context, address string, cp dscp.CodePoint, i int, random *rand.Rand) error {
	local := ""
	for n := range 1 + random.IntN(3) {
		cp := (cp + dscp.CodePoint(n)) & 63
		d := net.Dialer{Control: dscp.Control(cp)}
		if local != "" {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local))
		}
		c, err := d.DialContext(ctx, "udp", address)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil // another socket has the port now
		}
		if err != nil {
			return err
		}
		local = c.LocalAddr().String()
		for range 1 + random.IntN(4) {
			if _, err := c.Write([]byte("datagram")); err != nil {
				break
			}
			if i%20 == 19 {
				continue // do not wait for an answer
			}
			c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // it may be lost
			c.Read(make([]byte, 10))
		}
		c.Close()
	}
	return nil
}

// spoof sends packets with the addresses of the box's flows until it is stopped.
func (s *spoofer) spoof(box *dscptest.Middlebox, server netip.AddrPort) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		middle := netip.MustParseAddrPort(box.Addr())
		random := rand.New(rand.NewPCG(1, 2))
		var flows []dscptest.Flow
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			if n%50 == 0 {
				flows = box.Flows()
			}
			for _, f := range flows[max(0, len(flows)-workers):] {
				cp := dscp.CodePoint(random.IntN(64))
				flags := []wire.Flags{wire.ACK, wire.SYN, wire.RST | wire.ACK, wire.SYN | wire.ACK}[random.IntN(4)]
				for _, ends := range [][2]netip.AddrPort{{f.Client, middle}, {server, netip.AddrPortFrom(middle.Addr(), 32768+uint16(random.IntN(28000)))}} {
					if s.send(ends[0], ends[1], random.Uint32(), flags, cp) == nil {
						s.sent.Add(1)
					}
				}
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// The places at which a flow changes its mark.
type place uint8

const (
	beforeFirstByte place = iota
	inTheMiddle
	lastBeforeFIN
	finAlone
	lastBeforeClose
	lastBeforeRST
	rstAlone
	acknowledgements
	places
)

func (p place) String() string {
	return [...]string{
		"before the first byte", "between two exchanges", "last segment before FIN, half-closed", "FIN alone",
		"last segment before close", "last segment before RST", "RST alone", "acknowledgements alone",
	}[p]
}

// promised reports whether a sensor promises to see a change there. SocketOption needs
// the socket to be open for some time after the change.
func (p place) promised(s dscptest.Sensor) bool {
	switch s {
	case dscptest.WireEvery:
		return true
	case dscptest.WireLatest:
		return p != rstAlone
	}
	return p == beforeFirstByte || p == inTheMiddle || p == acknowledgements
}

// TestChangesAreSeen has flows change their mark once, each at one place. The box misses
// no change that the sensor promises to see.
func TestChangesAreSeen(t *testing.T) {
	t.Parallel()
	if !testns.Inside(t) {
		return
	}
	for _, s := range sensors {
		t.Run(fmt.Sprintf("%v/%s", s.sensor, s.address), func(t *testing.T) {
			box := dscptest.Config{Upstream: changingServer(t, s.address), Sensor: s.sensor}.NewMiddlebox(t)
			flows := long.N(160, 5008)
			if s.sensor != dscptest.WireEvery {
				flows = long.N(320, 10_000) // of only one family
			}
			each(flows, func(i int, random *rand.Rand) {
				changingClient(box.Addr(), place(i%int(places)), dscptest.Side(1+i/int(places)%2), random)
			})
			require.Eventually(t, func() bool {
				all := box.Flows()
				return len(all) == flows && !slices.ContainsFunc(all, func(f dscptest.Flow) bool { return !f.Over })
			}, 30*time.Second, 50*time.Millisecond)
			var seen, missed [places][3]int
			for _, f := range box.Flows() {
				p, side := place(f.SYN&7), dscptest.Side(f.SYN>>3)
				require.NoError(t, f.Err, "%v", f)
				if len(f.Changes) == 0 || f.Changes[0].Direction.From() != side {
					missed[p][side]++
				} else {
					seen[p][side]++
				}
			}
			for p := range places {
				for side := dscptest.Client; side <= dscptest.Server; side++ {
					n := seen[p][side] + missed[p][side]
					t.Logf("%-36v %v: missed %d of %d", p, side, missed[p][side], n)
					assert.NotZero(t, n)
					if p.promised(s.sensor) {
						assert.Zero(t, missed[p][side], "%v, by the %v", p, side)
					}
				}
			}
		})
	}
}

// firstMark is the mark with which a client begins a flow. It identifies what the flow
// will do.
func firstMark(p place, side dscptest.Side) dscp.CodePoint {
	return dscp.CodePoint(p) | dscp.CodePoint(side)<<3
}

// changed is the mark to which flows change.
const changed = dscp.EF

// changingClient makes a flow. It sends the server which side is to change its mark, and
// where, and does so if that is the client.
func changingClient(box string, p place, side dscptest.Side, random *rand.Rand) {
	d := net.Dialer{Control: dscp.Control(firstMark(p, side))}
	c, err := d.Dial("tcp", box)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if side == dscptest.Server {
		c.Write([]byte{byte(p) + 'a'})
		for range random.IntN(4) {
			ask(c, "exchange")
		}
		c.Write([]byte{'!'})
		answer(c)
		return
	}
	if p == beforeFirstByte {
		mark(c, changed)
	}
	c.Write([]byte{'-'})
	for range 1 + random.IntN(4) {
		ask(c, "exchange")
	}
	change(c.(*net.TCPConn), p)
}

// changingServer serves such flows, and changes its mark if that is the server's part.
func changingServer(t *testing.T, address string) string {
	t.Helper()
	return serve(t, address, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(patience))
		var p [1]byte
		if _, err := io.ReadFull(c, p[:]); err != nil {
			return
		}
		if p[0] == '-' { // the client's part
			answer(c)
			return
		}
		if place(p[0]-'a') == beforeFirstByte {
			mark(c, changed)
		}
		for b := make([]byte, 1); ; {
			if _, err := c.Read(b); err != nil || b[0] == '!' {
				break
			}
			c.Write(b)
		}
		change(c.(*net.TCPConn), place(p[0]-'a'))
	})
}

// much is how many bytes an asterisk requests.
const much = 200_000

// answer echoes, and sends much bytes for an asterisk, until EOF.
func answer(c net.Conn) {
	for b := make([]byte, 100); ; {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if b[n-1] == '*' {
			c.Write(make([]byte, much))
		} else {
			c.Write(b[:n])
		}
	}
}

// change changes the mark of a connection at its place and ends it.
func change(c *net.TCPConn, p place) {
	finish := func() {
		c.CloseWrite()
		io.Copy(io.Discard, c)
	}
	if p == acknowledgements {
		c.Write([]byte{'*'})
	}
	if p != beforeFirstByte {
		mark(c, changed)
	}
	switch p {
	case lastBeforeFIN:
		c.Write([]byte("last"))
		finish()
	case finAlone:
		finish()
	case lastBeforeClose:
		c.Write([]byte("last"))
	case lastBeforeRST:
		c.Write([]byte("last"))
		c.SetLinger(0)
	case rstAlone:
		c.SetLinger(0)
	case acknowledgements:
		io.CopyN(io.Discard, c, much)
		finish()
	default:
		ask(c, "exchange")
		finish()
	}
}
