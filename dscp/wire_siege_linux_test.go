package dscp_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/cmark"
	"github.com/godscp/godscp/internal/long"
	"github.com/godscp/godscp/internal/testns"
)

// A packetCount makes the kernel count packets on loopback. It reads none of them, so that
// none is missed.
type packetCount struct {
	fd    int
	total int
}

// packetProtocol asks a packet socket for all protocols, in network byte order.
var packetProtocol = binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))

// countPackets starts to count TCP and UDP packets with one of the code points, each
// packet once.
func countPackets(t *testing.T, which func(cp dscp.CodePoint) bool) *packetCount {
	t.Helper()
	const reject, accept = 0, 1
	var wanted []bpf.Instruction // built from the end
	wanted = []bpf.Instruction{bpf.RetConstant{Val: reject}}
	for cp := range dscp.CodePoint(64) {
		if which(cp) {
			wanted = append([]bpf.Instruction{
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(cp), SkipTrue: 1},
				bpf.RetConstant{Val: accept},
			}, wanted...)
		}
	}
	// octet returns the test of the protocol and of the code point for one family.
	octet := func(protocol uint32, at bpf.Instruction, shift uint32) []bpf.Instruction {
		return append([]bpf.Instruction{
			bpf.LoadAbsolute{Off: protocol, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipTrue: 1},
			bpf.RetConstant{Val: reject},
			at,
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: shift},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x3f},
		}, wanted...)
	}
	v4 := octet(9, bpf.LoadAbsolute{Off: 1, Size: 1}, 2)
	v6 := octet(6, bpf.LoadAbsolute{Off: 0, Size: 2}, 6)
	program := append([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 1}, // counted when it arrives
		bpf.RetConstant{Val: reject},
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: 1},
		bpf.Jump{Skip: uint32(len(v4))},
	}, append(v4, v6...)...)
	raw, err := bpf.Assemble(program)
	require.NoError(t, err)
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}

	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // protocol 0: receives nothing until bind
	if errors.Is(err, unix.EPERM) {
		testns.Lacks(t, "cannot open an AF_PACKET socket: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) }) //nolint:errcheck,gosec // nothing is read from it
	require.NoError(t, unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}))
	lo, err := net.InterfaceByName("lo")
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: packetProtocol, Ifindex: lo.Index}))
	return &packetCount{fd: fd}
}

// now returns the number of packets so far.
func (c *packetCount) now(t *testing.T) int {
	t.Helper()
	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	require.NoError(t, err)
	c.total += int(stats.Packets) // includes packets dropped for lack of buffer
	return c.total
}

// The code points that assaults set. No flow is pinned at one of them.
var (
	// Set by functions that the guard recognises: no packet may have one.
	knownMarks = []dscp.CodePoint{dscp.CS4, dscp.AF41, 63}
	// Set by functions that it does not recognise.
	unknownMarks = []dscp.CodePoint{dscp.CS1, dscp.CS6, dscp.LowDelay}
)

// An assault is a way to change the mark of a live TCP connection or UDP socket.
type assault struct {
	name  string
	marks []dscp.CodePoint
	// sealed: the guard does not see it, so that only Seal prevents it.
	sealed bool
	// try returns the error of the attempt.
	try func(e *siegeEnd, cp dscp.CodePoint) error
}

// A siegeEnd is the target of assaults: an end of a connection, or a UDP socket.
type siegeEnd struct {
	conn interface {
		net.Conn
		SetDSCP(cp dscp.CodePoint) error
		Verify() error
		SyscallConn() (syscall.RawConn, error)
	}
	bare interface {
		net.Conn
		syscall.Conn
	}
	family        family
	level, option int
	network       string
	peer          netip.AddrPort // of a UDP socket
	file          uintptr        // a copy of the descriptor
	rounds        []atomic.Int64 // number of attempts of each assault
}

// run sets the option by a function that the guard does not recognise, through one of the
// methods of a raw conn.
func (e *siegeEnd) run(raw syscall.RawConn, method string, cp dscp.CodePoint) error {
	var inner error
	set := func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), e.level, e.option, int(cp.TOS())) }
	var err error
	switch method {
	case "Control":
		err = raw.Control(set)
	case "Read":
		err = raw.Read(func(fd uintptr) bool { set(fd); return true })
	case "Write":
		err = raw.Write(func(fd uintptr) bool { set(fd); return true })
	}
	return errors.Join(err, inner)
}

func (e *siegeEnd) xnet(c net.Conn, cp dscp.CodePoint) error {
	if e.option == unix.IP_TOS {
		return ipv4.NewConn(c).SetTOS(int(cp.TOS()))
	}
	return ipv6.NewConn(c).SetTrafficClass(int(cp.TOS()))
}

// A remarkingWriter has a ReadFrom method that changes the mark of its source.
type remarkingWriter struct {
	e   *siegeEnd
	cp  dscp.CodePoint
	err error
}

func (w *remarkingWriter) Write(b []byte) (int, error) { return len(b), nil }

func (w *remarkingWriter) ReadFrom(r io.Reader) (int64, error) {
	c, ok := r.(net.Conn)
	if !ok {
		return 0, errors.New("no conn")
	}
	w.err = w.e.xnet(c, w.cp)
	return 0, nil
}

// assaults are all routes under test.
var assaults = []assault{
	{name: "SetDSCP", marks: knownMarks, try: func(e *siegeEnd, cp dscp.CodePoint) error { return e.conn.SetDSCP(cp) }},
	{name: "x/net on the pinned conn", marks: knownMarks, try: func(e *siegeEnd, cp dscp.CodePoint) error { return e.xnet(e.conn, cp) }},
	{name: "dscp.Control on the live conn", marks: knownMarks, try: func(e *siegeEnd, cp dscp.CodePoint) error {
		raw, err := e.conn.SyscallConn()
		if err != nil {
			return err
		}
		return dscp.Control(cp)(e.network, "192.0.2.1:1", raw)
	}},
	{name: "io.Copy to a ReadFrom method", marks: knownMarks, try: func(e *siegeEnd, cp dscp.CodePoint) error {
		c, ok := e.conn.(*dscp.Conn)
		if !ok {
			return e.conn.SetDSCP(cp) // UDP has none
		}
		w := &remarkingWriter{e: e, cp: cp}
		_, err := c.WriteTo(w)
		return errors.Join(err, w.err)
	}},
	{name: "control messages", marks: knownMarks, try: func(e *siegeEnd, cp dscp.CodePoint) error {
		c, ok := e.conn.(*dscp.UDPConn)
		if !ok {
			return e.conn.SetDSCP(cp) // TCP has none
		}
		oob := control(e.level, e.option, int(cp.TOS()), 4)
		_, _, err := c.WriteMsgUDPAddrPort([]byte{0}, oob, e.peer)
		_, batch := c.WriteBatch([]ipv4.Message{{Buffers: [][]byte{{0}}, OOB: oob, Addr: net.UDPAddrFromAddrPort(e.peer)}}, 0)
		if err == nil || batch == nil {
			return nil
		}
		return errors.Join(err, batch)
	}},
	{name: "an unknown function, Control", marks: unknownMarks, try: pinnedRaw("Control")},
	{name: "an unknown function, Read", marks: unknownMarks, try: pinnedRaw("Read")},
	{name: "an unknown function, Write", marks: unknownMarks, try: pinnedRaw("Write")},

	{name: "x/net on the embedded conn", marks: knownMarks, sealed: true, try: func(e *siegeEnd, cp dscp.CodePoint) error {
		return e.xnet(e.bare, cp)
	}},
	{name: "the embedded conn, Control", marks: unknownMarks, sealed: true, try: func(e *siegeEnd, cp dscp.CodePoint) error {
		raw, err := e.bare.SyscallConn()
		if err != nil {
			return err
		}
		return e.run(raw, "Control", cp)
	}},
	{name: "File", marks: unknownMarks, sealed: true, try: func(e *siegeEnd, cp dscp.CodePoint) error {
		return unix.SetsockoptInt(int(e.file), e.level, e.option, int(cp.TOS()))
	}},
	{name: "C", marks: unknownMarks, sealed: true, try: func(e *siegeEnd, cp dscp.CodePoint) error {
		return cmark.Set(e.file, e.level, e.option, int(cp.TOS()), false)
	}},
	{name: "C, on another thread", marks: unknownMarks, sealed: true, try: func(e *siegeEnd, cp dscp.CodePoint) error {
		return cmark.Set(e.file, e.level, e.option, int(cp.TOS()), true)
	}},
}

func pinnedRaw(method string) func(e *siegeEnd, cp dscp.CodePoint) error {
	return func(e *siegeEnd, cp dscp.CodePoint) error {
		raw, err := e.conn.SyscallConn()
		if err != nil {
			return err
		}
		return e.run(raw, method, cp)
	}
}

// A siege makes all assaults concurrently on flows of all families.
type siege struct {
	t        *testing.T
	sealed   bool
	ends     []*siegeEnd
	stop     atomic.Bool
	traffic  sync.WaitGroup
	attacks  sync.WaitGroup
	writes   atomic.Int64 // of data
	attempts atomic.Int64
	deadline time.Time
}

// TestWireSiege makes all assaults concurrently. No packet may have a mark that a
// recognised function set. Some have a mark that an unrecognised function set, from before
// the guard restored the pinned one.
func TestWireSiege(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	(&siege{t: t}).run(long.N(20_000, 1_000_000))
}

// TestWireSiegeSealed attacks a sealed process, also past the guard and from C. No packet
// may have another mark.
func TestWireSiegeSealed(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	seal(t)
	if !cmark.Available() {
		t.Log("built without cgo: no assaults from C")
	}
	(&siege{t: t, sealed: true}).run(long.N(20_000, 1_000_000))
}

// run attacks until there were enough packets and enough attempts by every route.
func (s *siege) run(packets int) {
	t := s.t
	s.deadline = time.Now().Add(time.Minute + time.Duration(packets)*time.Millisecond)
	pinned := func(cp dscp.CodePoint) bool { return cp == dscp.AF21 }
	right := countPackets(t, pinned)
	known := countPackets(t, func(cp dscp.CodePoint) bool { return slices.Contains(knownMarks, cp) })
	other := countPackets(t, func(cp dscp.CodePoint) bool { return !pinned(cp) && !slices.Contains(knownMarks, cp) })
	for _, f := range families {
		s.tcp(f)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		s.udp(host)
	}
	for _, e := range s.ends {
		s.attack(e)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for right.now(t) < packets || s.least() < 10 {
		if <-tick.C; t.Failed() || time.Now().After(s.deadline) {
			break // the assertions below report what is missing
		}
	}
	assert.GreaterOrEqual(t, s.least(), int64(10), "least number of attempts by any route on any end")
	s.stop.Store(true)
	s.attacks.Wait()
	for _, e := range s.ends {
		assert.NoError(t, e.conn.Verify())
	}
	s.traffic.Wait()
	assert.GreaterOrEqual(t, right.now(t), packets, "packets with the mark")
	assert.Zero(t, known.now(t), "packets with a mark that only recognised functions set")
	if s.sealed {
		assert.Zero(t, other.now(t), "packets with a foreign mark")
	}
	t.Logf("\n%s", s.table(right.total, known.total, other.now(t)))
}

// table returns the attempts and packets as Markdown.
func (s *siege) table(right, known, other int) string {
	var b strings.Builder
	b.WriteString("| route | attempts, all refused |\n|---|---|\n")
	for i, a := range assaults {
		if n := s.rounds(i); n > 0 {
			fmt.Fprintf(&b, "| %s | %d |\n", a.name, n)
		}
	}
	fmt.Fprintf(&b, "\nsealed: %t; packets: %d; foreign, by recognised functions: %d; foreign, by unrecognised functions: %d\n",
		s.sealed, right+known+other, known, other)
	return b.String()
}

// rounds returns the number of attempts of an assault on all ends.
func (s *siege) rounds(i int) (n int64) {
	for _, e := range s.ends {
		n += e.rounds[i].Load()
	}
	return n
}

// least returns the least number of attempts of any assault on any end.
func (s *siege) least() int64 {
	least := int64(1 << 62)
	for i, a := range assaults {
		if s.applies(a) {
			for _, e := range s.ends {
				least = min(least, e.rounds[i].Load())
			}
		}
	}
	return least
}

func (s *siege) applies(a assault) bool {
	return (!a.sealed || s.sealed) && (!strings.HasPrefix(a.name, "C") || cmark.Available())
}

// attack repeats every assault on e, each in its own goroutine.
func (s *siege) attack(e *siegeEnd) {
	for i, a := range assaults {
		if !s.applies(a) {
			continue
		}
		s.attacks.Go(func() {
			for n := 0; !s.stop.Load(); n++ {
				err := a.try(e, a.marks[n%len(a.marks)])
				if s.stop.Load() {
					return // a call that waited for data or buffer may have another error now
				}
				if !errors.Is(err, dscp.ErrMidFlow) && !(s.sealed && errors.Is(err, unix.EPERM)) {
					assert.Fail(s.t, "not refused", "%s on %s: %v", a.name, e.family.name, err)
					return
				}
				e.rounds[i].Add(1)
				// More attempts than writes would leave a slow processor no time for data.
				for due := s.attempts.Add(1); ; {
					time.Sleep(time.Millisecond)
					if s.writes.Load() >= due || s.stop.Load() {
						break
					}
				}
			}
		})
	}
}

// tcp opens a connection that is busy in both directions, and makes both ends targets.
func (s *siege) tcp(f family) {
	client, server := f.connect(s.t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{DSCP: dscp.AF21}))
	for _, c := range []*dscp.Conn{client.(*dscp.Conn), server.(*dscp.Conn)} {
		require.NoError(s.t, c.SetDeadline(s.deadline.Add(time.Minute)))
		require.NoError(s.t, c.SetWriteBuffer(4<<10)) // a small buffer and small writes make many packets
		level, option := f.sent()
		e := &siegeEnd{conn: c, bare: c.TCPConn, family: f, level: level, option: option, network: "tcp4"}
		if option == unix.IPV6_TCLASS {
			e.network = "tcp6"
		}
		file, err := c.File()
		require.NoError(s.t, err)
		s.t.Cleanup(func() { file.Close() }) //nolint:errcheck,gosec // a copy
		s.target(e, file.Fd())
	}
	s.pump(client.(*dscp.Conn), server)
	s.pump(server.(*dscp.Conn), client)
}

func (s *siege) target(e *siegeEnd, file uintptr) {
	require.NoError(s.t, unix.SetNonblock(int(file), true)) // Fd made the socket blocking
	e.file, e.rounds = file, make([]atomic.Int64, len(assaults))
	s.ends = append(s.ends, e)
}

func (s *siege) pump(from *dscp.Conn, to net.Conn) {
	var sent, got int64
	s.traffic.Go(func() {
		chunk := make([]byte, 512)
		for !s.stop.Load() {
			runtime.Gosched() // as yielding does
			n, err := from.Write(chunk)
			s.writes.Add(1)
			if sent += int64(n); !assert.NoError(s.t, err) {
				break
			}
		}
		assert.NoError(s.t, from.CloseWrite())
	})
	s.traffic.Go(func() {
		var err error
		got, err = io.Copy(io.Discard, yielding{to})
		assert.NoError(s.t, err)
	})
	s.t.Cleanup(func() { assert.Equal(s.t, sent, got, "bytes sent and received") })
}

// udp opens a socket that sends datagrams to itself, and makes it a target.
func (s *siege) udp(host string) {
	pc, err := (&dscp.ListenConfig{DSCP: dscp.AF21}).ListenPacket(s.t.Context(), "udp", net.JoinHostPort(host, "0"))
	require.NoError(s.t, err)
	c := pc.(*dscp.UDPConn)
	s.t.Cleanup(func() { c.Close() }) //nolint:errcheck,gosec // nothing is lost
	require.NoError(s.t, c.SetDeadline(s.deadline.Add(time.Minute)))
	f := family{name: "UDP " + host, dial: host}
	level, option := f.sent()
	e := &siegeEnd{conn: c, bare: c.UDPConn, family: f, level: level, option: option, network: "udp4", peer: addrPort(c.LocalAddr())}
	if option == unix.IPV6_TCLASS {
		e.network = "udp6"
	}
	file, err := c.File()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { file.Close() }) //nolint:errcheck,gosec // a copy
	s.target(e, file.Fd())
	s.traffic.Go(func() {
		for !s.stop.Load() {
			runtime.Gosched() // as yielding does
			s.writes.Add(1)
			if _, err := c.WriteToUDPAddrPort([]byte{0}, e.peer); !assert.NoError(s.t, err) {
				return
			}
		}
		assert.NoError(s.t, c.SetReadDeadline(time.Now())) // ends the reader
	})
	s.traffic.Go(func() {
		b := make([]byte, 64)
		for {
			runtime.Gosched()
			if _, _, err := c.ReadFromUDPAddrPort(b); err != nil {
				assert.ErrorIs(s.t, err, os.ErrDeadlineExceeded)
				return
			}
		}
	})
}
