package dscptest_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// TestLoopbackOnly looks at the sockets of the process itself: wherever the
// upstream is and whatever the box is to do, nothing that others could reach
// is bound to anything but loopback.
func TestLoopbackOnly(t *testing.T) { // not parallel: other tests have sockets too
	configs := map[string]dscptest.Config{
		"no model":       {},
		"a hole":         {Models: []dscptest.Model{dscptest.DropMarked(dscp.EF), dscptest.VMware}, Inside: dscptest.Client},
		"SYN-ACK marked": {Models: []dscptest.Model{dscptest.Remark(dscp.AF21)}, Inside: dscptest.Client, Delay: 1},
		"off the wire":   {Sensor: dscptest.WireEvery},
	}
	for _, upstream := range []string{
		"127.0.0.1:9", "0.0.0.0:9", "[::]:9", "192.0.2.1:9", "[2001:db8::1]:9", "[::ffff:192.0.2.1]:9",
	} {
		for name, config := range configs {
			t.Run(upstream+"/"+name, func(t *testing.T) {
				config.Upstream = upstream
				before := openSockets(t)
				box, err := config.Start()
				if config.Sensor == dscptest.WireEvery && errors.Is(err, errors.ErrUnsupported) {
					t.Skip(err) // it takes a privilege
				}
				require.NoError(t, err)
				defer box.Close()
				for _, addr := range []string{box.Addr(), box.UDPAddr()} {
					require.True(t, netip.MustParseAddrPort(addr).Addr().IsLoopback(), addr)
				}
				c, err := net.Dial("udp", box.UDPAddr())
				require.NoError(t, err)
				defer c.Close()
				_, err = c.Write([]byte("has the box make a socket of its own"))
				require.NoError(t, err)
				bound := 0
				for inode, s := range openSockets(t) {
					if _, old := before[inode]; old || s.remote.Port() != 0 {
						continue // a connected socket takes from its peer alone
					}
					bound++
					assert.True(t, s.local.Addr().Unmap().IsLoopback(), "%s socket on %v", s.table, s.local)
				}
				assert.GreaterOrEqual(t, bound, 2, "the two that the box has told")
			})
		}
	}
}

// A socketEntry is a line of /proc/net.
type socketEntry struct {
	table         string
	local, remote netip.AddrPort
}

// openSockets returns the TCP and UDP sockets of this process, by inode.
func openSockets(t *testing.T) map[string]socketEntry {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	ours := make(map[string]bool)
	for _, fd := range fds {
		link, _ := os.Readlink("/proc/self/fd/" + fd.Name()) // it may be closed by now
		if inode, ok := strings.CutPrefix(link, "socket:["); ok {
			ours[strings.TrimSuffix(inode, "]")] = true
		}
	}
	sockets := make(map[string]socketEntry)
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + table)
		if os.IsNotExist(err) {
			continue // no IPv6
		}
		require.NoError(t, err)
		for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			if fields := strings.Fields(line); i > 0 && ours[fields[9]] {
				sockets[fields[9]] = socketEntry{table, procAddr(t, fields[1]), procAddr(t, fields[2])}
			}
		}
	}
	return sockets
}

// procAddr reads an address: 32-bit words in the machine's order, in hexadecimal.
func procAddr(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	require.NoError(t, err)
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		for w := range slices.Chunk(b, 4) {
			slices.Reverse(w)
		}
	}
	addr, ok := netip.AddrFromSlice(b)
	require.True(t, ok)
	var n uint16
	_, err = fmt.Sscanf(port, "%X", &n)
	require.NoError(t, err)
	return netip.AddrPortFrom(addr, n)
}
