package dscp_test

import (
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
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// An attack is a way to change the mark of a live connection.
type attack struct {
	name string
	ipv6 bool // needs an IPv6 socket
	try  func(c *dscp.Conn, octet int) error
	// leaks: packets may leave with another mark before the guard restores it, as
	// documented for functions that it does not recognise.
	leaks bool
}

// sent returns the option that sets the mark of the family's packets.
func (f family) sent() (level, option int) {
	if f.dial == "::1" {
		return syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS
	}
	return syscall.IPPROTO_IP, syscall.IP_TOS
}

// attacks returns the ways to change the mark of the family's packets.
func attacks(f family) []attack {
	level, option := f.sent()
	raw := func(c *dscp.Conn) syscall.RawConn {
		r, err := c.SyscallConn()
		if err != nil {
			panic(err) // the conn is open
		}
		return r
	}
	all := []attack{
		{name: "SetDSCP", try: func(c *dscp.Conn, octet int) error {
			return c.SetDSCP(dscp.FromTOS(uint8(octet)))
		}},
		{name: "ipv4.SetTOS", try: func(c *dscp.Conn, octet int) error {
			return ipv4.NewConn(c).SetTOS(octet)
		}},
		{name: "ipv6.SetTrafficClass", ipv6: true, try: func(c *dscp.Conn, octet int) error {
			return ipv6.NewConn(c).SetTrafficClass(octet)
		}},
		{name: "SyscallConn.Control", leaks: true, try: func(c *dscp.Conn, octet int) error {
			return raw(c).Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), level, option, octet) })
		}},
		{name: "SyscallConn.Read", leaks: true, try: func(c *dscp.Conn, octet int) error {
			return raw(c).Read(func(fd uintptr) bool {
				return syscall.SetsockoptInt(int(fd), level, option, octet) == nil
			})
		}},
		{name: "SyscallConn.Write", leaks: true, try: func(c *dscp.Conn, octet int) error {
			return raw(c).Write(func(fd uintptr) bool {
				return syscall.SetsockoptInt(int(fd), level, option, octet) == nil
			})
		}},
	}
	if f.name == "IPv4" { // both ends are IPv4 sockets
		all = slices.DeleteFunc(all, func(a attack) bool { return a.ipv6 })
	}
	return all
}

// foreign are values that the kernel accepts for both options and that are neither AF21
// nor EF, whatever the ECN bits. IP_TOS uses only the low eight bits of a value, and a
// Traffic Class of -1 is 0.
var foreign = []int{0x00, 0x04, 0x08, 0x10, 0x20, 0x22, 0x28, 0x50, 0x88, 0xb0, 0xb4, 0xc0, 0xff, -1}

// TestWireAttack tries to change the mark of both ends from several goroutines while both
// directions are busy. Every attempt is refused, and the connection survives. No packet
// leaves with another mark, except after a function that the guard does not recognise and
// before the guard restores the mark.
func TestWireAttack(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	runs, table := map[string]int{}, &attackTable{}
	for _, f := range families {
		for _, a := range attacks(f) {
			runs[a.name]++
		}
	}
	for _, f := range families {
		for _, a := range attacks(f) {
			t.Run(f.name+"/"+a.name, func(t *testing.T) {
				capture := wire.Start(t, "lo")
				attempts, out, packets := 0, 0, 0
				for again := attackFor(t, runs[a.name]); again(); {
					flow := f.attack(t, capture, a)
					flow.route = "TCP, " + a.name
					table.add(flow)
					attempts, out, packets = attempts+flow.attempts, out+flow.foreign, packets+flow.packets
				}
				t.Logf("%d attempts refused; %d of %d packets left with a foreign mark", attempts, out, packets)
				if !a.leaks {
					assert.Zero(t, out, "packets with a foreign mark")
					return
				}
				// A few for each attempt, or a burst where the kernel preempted the
				// guard; never most of them.
				assert.Less(t, out, attempts+packets/2, "packets with a foreign mark: the guard restores the mark late or never")
			})
		}
	}
	t.Logf("\n%v", table)
}

// attack attacks one connection and counts the packets of both ends.
func (f family) attack(t *testing.T, capture *wire.Capture, a attack) attackRow {
	t.Helper()
	client, server := f.connect(t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{DSCP: dscp.EF}))
	ends := []*dscp.Conn{client.(*dscp.Conn), server.(*dscp.Conn)}
	for _, end := range ends { // slow where the attackers wait for the readers
		require.NoError(t, end.SetDeadline(time.Now().Add(5*time.Minute)))
	}
	if a.ipv6 && f.dial == "127.0.0.1" {
		ends = ends[1:] // the dialled end is an IPv4 socket
	}
	wired := flowOf(client)
	octets := foreign
	if a.name == "ipv4.SetTOS" && f.dial == "::1" {
		octets = foreign[1:] // IP_TOS of a dialled IPv6 socket is 0 and not in use
	}
	row := attackRow{attempts: attackUnderLoad(t, client, server, ends, octets, a)}
	want := map[netip.AddrPort]uint8{wired.client: dscp.AF21.TOS(), wired.server: dscp.EF.TOS()}
	last := map[netip.AddrPort]uint8{}
	for _, p := range wired.packets(capture) {
		row.packets++
		if last[p.Src] = p.TOS; p.TOS != want[p.Src] {
			row.foreign++
		}
	}
	assert.Equal(t, want, last, "the last packets have the pinned marks")
	return row
}

// yielding is a conn that yields the processor before each Read, because a loop that
// takes the conn's read lock again at once can keep other readers waiting for seconds.
type yielding struct{ net.Conn }

func (y yielding) Read(b []byte) (int, error) {
	runtime.Gosched()
	return y.Conn.Read(b)
}

// attackUnderLoad attacks the ends while client and server send to one another as fast as
// they can, until there were enough attempts and enough data. It requires that every
// attempt is refused and every byte arrives, closes both ends and returns the number of
// attempts.
func attackUnderLoad(t *testing.T, client, server net.Conn, ends []*dscp.Conn, octets []int, a attack) int {
	t.Helper()
	const attackers = 2 // for each end
	rounds, volume := 20, int64(1<<20)
	if a.leaks {
		// Such functions wait for the conn's lock. A few hundred attempts are enough
		// to count the packets.
		rounds, volume = 6, 0
	}
	var stop atomic.Bool
	var moved, attempts atomic.Int64
	var traffic, attackersDone sync.WaitGroup
	pump := func(from, to net.Conn) {
		if !a.leaks { // a small buffer and small writes make many packets
			require.NoError(t, from.(*dscp.Conn).SetWriteBuffer(4<<10))
		}
		var sent, got int64
		traffic.Go(func() {
			chunk := make([]byte, 1<<10)
			for !stop.Load() {
				runtime.Gosched() // as yielding does
				n, err := from.Write(chunk)
				moved.Add(int64(n))
				if sent += int64(n); !assert.NoError(t, err) {
					break
				}
			}
			assert.NoError(t, from.(*dscp.Conn).CloseWrite())
		})
		traffic.Go(func() {
			var err error
			got, err = io.Copy(io.Discard, yielding{to})
			assert.NoError(t, err)
		})
		t.Cleanup(func() { assert.Equal(t, sent, got, "bytes sent and received") })
	}
	pump(client, server)
	pump(server, client)

	for _, end := range ends {
		for range attackers {
			attackersDone.Go(func() {
				for round := 0; round < rounds || moved.Load() < 2*volume; round++ {
					// More attempts than writes would leave a slow processor no time for data.
					for !a.leaks && attempts.Load() > moved.Load()>>10 && !t.Failed() {
						time.Sleep(time.Millisecond)
					}
					for _, octet := range octets {
						attempts.Add(1)
						if !assert.ErrorIs(t, a.try(end, octet), dscp.ErrMidFlow, "octet %#x", octet) {
							return
						}
					}
				}
			})
		}
	}
	attackersDone.Wait()
	for _, end := range ends {
		assert.NoError(t, end.Verify())
	}
	stop.Store(true)
	traffic.Wait()
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
	return int(attempts.Load())
}

// attackEnv names the environment variable with a duration: TestWireAttack and
// TestWireAttackUDP repeat each route for so long instead of running it once. A flag would
// not reach the process in the network namespace.
//
//	GODSCP_ATTACK=40s go test -run TestWireAttack -v -timeout 30m ./dscp
const attackEnv = "GODSCP_ATTACK"

// attackFor returns a function that reports whether to attack again: true at first, and
// then until this run's share of the duration in attackEnv has passed.
func attackFor(t *testing.T, runs int) (again func() bool) {
	t.Helper()
	var end time.Time
	if v := os.Getenv(attackEnv); v != "" {
		length, err := time.ParseDuration(v)
		require.NoError(t, err, attackEnv)
		end = time.Now().Add(length / time.Duration(runs))
	}
	first := true
	return func() bool {
		more := first || time.Now().Before(end)
		first = false
		return more
	}
}

// An attackRow has the results of attacks on one flow, or on all flows of a route.
type attackRow struct {
	route                             string
	flows, attempts, foreign, packets int
	worst                             float64 // the greatest share of foreign packets in a flow
}

// An attackTable has a row for each route.
type attackTable []*attackRow

// add adds the results of one flow.
func (t *attackTable) add(flow attackRow) {
	flow.flows, flow.worst = 1, float64(flow.foreign)/float64(max(flow.packets, 1))
	for _, row := range *t {
		if row.route == flow.route {
			row.flows += flow.flows
			row.attempts += flow.attempts
			row.foreign += flow.foreign
			row.packets += flow.packets
			row.worst = max(row.worst, flow.worst)
			return
		}
	}
	*t = append(*t, &flow)
}

// String returns the table as Markdown.
func (t *attackTable) String() string {
	var b strings.Builder
	b.WriteString("| route | flows | attempts, all refused | foreign packets | of | worst flow |\n|---|---|---|---|---|---|\n")
	for _, r := range *t {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %.1f %% |\n", r.route, r.flows, r.attempts, r.foreign, r.packets, 100*r.worst)
	}
	return b.String()
}
