package trace_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/dscp/dscptest/trace"
)

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func after(µs int) time.Time { return start.Add(time.Duration(µs) * time.Microsecond) }

const (
	up   = dscptest.ClientToServer
	down = dscptest.ServerToClient
)

// resetFlow is that of a client behind VMware that changes to AF21 after login.
func resetFlow(client, server string) dscptest.Flow {
	const reason = "VMware: the client's mark went from DF to AF21"
	f := dscptest.Flow{
		ID: 1, Network: "tcp4",
		Client: netip.MustParseAddrPort(client), Upstream: netip.MustParseAddrPort(server),
		Start: start, Answered: true,
		Changes: []dscptest.Change{{
			Direction: up, To: dscp.AF21, Offset: 21, OffsetMax: 21, At: after(15_000), Verdict: dscptest.Reset, Reason: reason,
		}},
		Events: []dscptest.Event{
			{At: after(113), Direction: up, Bytes: 21},
			{At: after(240), Direction: down, Bytes: 32},
			{At: after(15_000), Direction: up, DSCP: dscp.AF21, Offset: 21, Bytes: 1, Lost: true},
		},
		Verdict: dscptest.Reset, Model: "VMware", Reason: reason, VerdictAt: after(15_020),
		ClientBytes: 22, ServerBytes: 32, Over: true, End: after(15_100),
	}
	if f.Client.Addr().Is6() {
		f.Network = "tcp6"
	}
	return f
}

// pinnedFlow has one mark, and both sides end it.
func pinnedFlow() dscptest.Flow {
	return dscptest.Flow{
		ID: 2, Network: "tcp6",
		Client: netip.MustParseAddrPort("[::1]:40001"), Upstream: netip.MustParseAddrPort("[::1]:2222"),
		Start: after(20_000), SYN: dscp.AF21, SYNACK: dscp.CS1, Answered: true,
		Events: []dscptest.Event{
			{At: after(20_100), Direction: up, DSCP: dscp.AF21, Bytes: 70_001},
			{At: after(20_200), Direction: down, DSCP: dscp.CS1, Bytes: 3000},
			{At: after(20_300), Direction: up, Kind: dscptest.FIN, DSCP: dscp.AF21, Offset: 70_001},
			{At: after(20_400), Direction: down, Kind: dscptest.FIN, DSCP: dscp.CS1, Offset: 3000},
		},
		ClientBytes: 70_001, ServerBytes: 3000, Over: true, End: after(20_500),
	}
}

// ackFlow changes its mark on an acknowledgement, and the verdict is Pass.
func ackFlow() dscptest.Flow {
	return dscptest.Flow{
		ID: 3, Network: "tcp4",
		Client: netip.MustParseAddrPort("127.0.0.1:40002"), Upstream: netip.MustParseAddrPort("127.0.0.1:40022"),
		Start: after(30_000), Answered: true,
		Changes: []dscptest.Change{{Direction: up, To: dscp.EF, At: after(30_100)}},
		Events:  []dscptest.Event{{At: after(30_100), Direction: down, Bytes: 5}},
	}
}

func udpFlow() dscptest.Flow {
	return dscptest.Flow{
		ID: 4, Network: "udp6",
		Client: netip.MustParseAddrPort("[::1]:40003"), Upstream: netip.MustParseAddrPort("[::1]:40053"),
		Start: after(40_000), SYN: dscp.EF, Answered: true,
		Events: []dscptest.Event{
			{At: after(40_000), Direction: up, DSCP: dscp.EF, Bytes: 11},
			{At: after(40_100), Direction: down, Bytes: 12},
		},
	}
}

func refusedFlow() dscptest.Flow {
	return dscptest.Flow{
		ID: 5, Network: "tcp4",
		Client: netip.MustParseAddrPort("127.0.0.1:40004"), Upstream: netip.MustParseAddrPort("127.0.0.1:40023"),
		Start: after(50_000), SYN: dscp.LE, Over: true, End: after(50_100), Err: io.ErrUnexpectedEOF,
	}
}

var v4Reset = resetFlow("127.0.0.1:40000", "127.0.0.1:40022")

func TestWriteText(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, trace.WriteText(&b, v4Reset, ackFlow(), refusedFlow()))
	assert.Equal(t, `flow 1, tcp4, 127.0.0.1:40000 → 127.0.0.1:40022: reset
VMware: the client's mark went from DF to AF21
      ms  direction      what     bytes  DSCP  octet
   0.000  client→server  SYN             DF    0x00
   0.000  server→client  SYN-ACK         DF    0x00
   0.000  client→server  ACK             DF    0x00
   0.113  client→server  data     0–20   DF    0x00
   0.240  server→client  data     0–31   DF    0x00
  15.000  client→server  data     21     AF21  0x48   DF → AF21, reset
  15.020  box→client     RST             DF    0x00   VMware: the client's mark went from DF to AF21

flow 3, tcp4, 127.0.0.1:40002 → 127.0.0.1:40022: passed
      ms  direction      what     bytes  DSCP  octet
   0.000  client→server  SYN             DF    0x00
   0.000  server→client  SYN-ACK         DF    0x00
   0.000  client→server  ACK             DF    0x00
   0.100  client→server  ACK             EF    0xb8   DF → EF
   0.100  server→client  data     0–4    DF    0x00

flow 5, tcp4, 127.0.0.1:40004 → 127.0.0.1:40023: passed
      ms  direction      what  bytes  DSCP  octet
   0.000  client→server  SYN          LE    0x04
   0.100  box→client     RST          DF    0x00   unexpected EOF
`, b.String())
}

// TestPcapNGBlocks reads the blocks of the file: each has its length at both ends, and a
// section and an interface come first.
func TestPcapNGBlocks(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, trace.WritePcapNG(&b, v4Reset, pinnedFlow(), udpFlow()))
	rest := b.Bytes()
	var types []uint32
	for len(rest) > 0 {
		require.GreaterOrEqual(t, len(rest), 12)
		n := binary.LittleEndian.Uint32(rest[4:])
		require.Zero(t, n%4)
		require.LessOrEqual(t, int(n), len(rest))
		require.Equal(t, n, binary.LittleEndian.Uint32(rest[n-4:]))
		types = append(types, binary.LittleEndian.Uint32(rest))
		rest = rest[n:]
	}
	require.Greater(t, len(types), 2)
	assert.Equal(t, []uint32{0x0A0D0D0A, 1}, types[:2])
	for _, b := range types[2:] {
		assert.EqualValues(t, 6, b)
	}
	assert.Contains(t, b.String(), "Not a capture")
}

// TestTshark has tshark read the file: headers, checksums, marks, sequence numbers,
// comments.
func TestTshark(t *testing.T) {
	t.Parallel()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("tshark is needed where CI is set: ", err)
		}
		t.Skip("tshark is not installed: ", err)
	}
	tests := []struct {
		name string
		flow dscptest.Flow
		want string // flags or length, DSCP, relative sequence number, comment
	}{
		{"IPv4 reset", v4Reset, `
0x0002 0 0 
0x0012 0 0 
0x0010 0 1 
0x0018 0 1 
0x0018 0 1 
0x0018 18 22 DF → AF21, reset
0x0014 0 33 the box: VMware: the client's mark went from DF to AF21
`},
		{"IPv6 reset", resetFlow("[::1]:40000", "[::1]:40022"), `
0x0002 0 0 
0x0012 0 0 
0x0010 0 1 
0x0018 0 1 
0x0018 0 1 
0x0018 18 22 DF → AF21, reset
0x0014 0 33 the box: VMware: the client's mark went from DF to AF21
`},
		{"pinned", pinnedFlow(), `
0x0002 18 0 
0x0012 8 0 
0x0010 18 1 
0x0018 18 1 
0x0018 18 60001 
0x0018 8 1 
0x0011 18 70002 
0x0011 8 3001 
`},
		{"acknowledgement", ackFlow(), `
0x0002 0 0 
0x0012 0 0 
0x0010 0 1 
0x0010 46 1 DF → EF
0x0018 0 1 
`},
		{"datagrams", udpFlow(), `
 46  
 0  
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "flow.pcapng")
			var b bytes.Buffer
			require.NoError(t, trace.WritePcapNG(&b, tt.flow))
			require.NoError(t, os.WriteFile(name, b.Bytes(), 0o600))
			field := "ip.dsfield.dscp"
			if tt.flow.Client.Addr().Is6() {
				field = "ipv6.tclass.dscp"
			}
			got := run(t, tshark, "-r", name, "-T", "fields", "-E", "separator= ",
				"-e", "tcp.flags", "-e", field, "-e", "tcp.seq", "-e", "frame.comment")
			assert.Equal(t, tt.want[1:], got)
			assert.Empty(t, run(t, tshark, "-r", name, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
				"-o", "udp.check_checksum:TRUE", "-Y",
				"_ws.malformed or ip.checksum.status==0 or tcp.checksum.status==0 or udp.checksum.status==0 "+
					"or tcp.analysis.ack_lost_segment or tcp.analysis.lost_segment or tcp.analysis.retransmission"),
				"packets that Wireshark has something against")
		})
	}
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	var errs strings.Builder
	c := exec.Command(name, args...)
	c.Stderr = &errs
	out, err := c.Output()
	require.NoError(t, err, "%s", errs.String())
	return string(out)
}

func TestWriteSVG(t *testing.T) {
	t.Parallel()
	long := pinnedFlow()
	for i := range 100 {
		long.Events = append(long.Events, dscptest.Event{At: after(21_000 + i), Offset: int64(70_001 + i), Bytes: 1})
	}
	for name, f := range map[string]dscptest.Flow{
		"reset": v4Reset, "pinned": pinnedFlow(), "ack": ackFlow(), "udp": udpFlow(), "refused": refusedFlow(), "long": long,
	} {
		var b bytes.Buffer
		require.NoError(t, trace.WriteSVG(&b, f))
		d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
		for {
			_, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err, "%s", name)
		}
		if dir := os.Getenv("TRACE_SVG_DIR"); dir != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name+".svg"), b.Bytes(), 0o644))
		}
	}
	var b strings.Builder
	require.NoError(t, trace.WriteSVG(&b, v4Reset))
	assert.Contains(t, b.String(), "RST</text>")
	assert.Contains(t, b.String(), "data 21, AF21</text>")
	assert.Contains(t, b.String(), "VMware: the client&#39;s mark went from DF to AF21")
	b.Reset()
	require.NoError(t, trace.WriteSVG(&b, long))
	assert.Contains(t, b.String(), "more …")
}

// An errWriter fails every write.
type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteErrors(t *testing.T) {
	t.Parallel()
	assert.ErrorIs(t, trace.WriteText(errWriter{}, v4Reset), io.ErrClosedPipe)
	assert.ErrorIs(t, trace.WritePcapNG(errWriter{}, v4Reset), io.ErrClosedPipe)
	assert.ErrorIs(t, trace.WriteSVG(errWriter{}, v4Reset), io.ErrClosedPipe)
}
