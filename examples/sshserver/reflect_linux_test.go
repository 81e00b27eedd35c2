package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// A reflectUse is a use of one of OpenSSH's programs.
type reflectUse struct {
	name, program string
	ipqos         string
	asks          dscp.CodePoint // the mark of the SYN, if this ssh marks its SYN
	args          func(host, file, copy string) []string
	input         string
}

var reflectUses = []reflectUse{
	{"terminal", "ssh", "af21", dscp.AF21, func(host, _, _ string) []string {
		return []string{"-tt", host, "stty size; head -c 50000 /dev/zero | od | head"}
	}, ""},
	{"command", "ssh", "cs1", dscp.CS1, func(host, _, _ string) []string { return []string{host, "head -c 300000 /dev/zero"} }, ""},
	{"scp", "scp", "cs1", dscp.CS1, func(host, file, copy string) []string { return []string{file, "[" + host + "]:" + copy} }, ""},
	{"sftp", "sftp", "cs1", dscp.CS1, func(host, _, _ string) []string { return []string{"-b", "-", host} }, "get FILE COPY\n"},
	{"the pair, with a terminal", "ssh", "af21 cs1", dscp.AF21, func(host, _, _ string) []string { return []string{"-tt", host, "echo up"} }, ""},
	{"the pair, without", "ssh", "af21 cs1", dscp.AF21, func(host, _, _ string) []string { return []string{host, "head -c 300000 /dev/zero"} }, ""},
	{"the pair, scp", "scp", "af21 cs1", dscp.AF21, func(host, file, copy string) []string { return []string{file, "[" + host + "]:" + copy} }, ""},
	{"another mark", "ssh", "ef", dscp.EF, func(host, _, _ string) []string { return []string{host, "true"} }, ""},
}

// run runs the program. addr is the server, or a middlebox in front of it.
func (u reflectUse) run(t *testing.T, server *sshtest.GoServer, key *sshtest.Key, addr netip.AddrPort) {
	t.Helper()
	dir := t.TempDir()
	file, to := filepath.Join(dir, "file"), filepath.Join(dir, "copy")
	require.NoError(t, os.WriteFile(file, make([]byte, 300_000), 0o600))
	args := server.Args(t, key, addr.String(), "IPQoS="+u.ipqos)
	cmd := exec.Command(sshtest.Tool(t, u.program), append(args, u.args(addr.Addr().String(), file, to)...)...)
	cmd.Stdin = strings.NewReader(strings.NewReplacer("FILE", file, "COPY", to).Replace(u.input))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestReflect claims that the server answers ssh, scp and sftp with the mark of their SYN,
// in all packets of the connection.
func TestReflect(t *testing.T) {
	sshtest.Built(t, "sshserver")
	if !testns.Inside(t) {
		return
	}
	key := sshtest.NewKey(t, "")
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		server := sshtest.StartGoServer(t, key, "-listen", listen)
		addr := netip.MustParseAddrPort(server.Addr)
		for _, u := range reflectUses {
			t.Run(listen+" "+u.name, func(t *testing.T) {
				capture := wire.Start(t, "lo", addr.Port())
				u.run(t, server, key, addr)
				packets := capture.Until(wire.Closed(1))
				syn := dscp.CodePoint(packets[0].DSCP())
				// OpenSSH up to 8.4 marks only after login.
				assert.Contains(t, []dscp.CodePoint{u.asks, dscp.DF}, syn)
				want := dscp.AF21
				if syn == dscp.CS1 {
					want = dscp.CS1
				}
				sent := 0
				for _, p := range packets {
					if p.Src == addr && !p.Ownerless() {
						sent++
						assert.Equal(t, want, dscp.CodePoint(p.DSCP()), "%v", p)
					}
				}
				assert.Greater(t, sent, 10)
				t.Logf("SYN %v, %d packets of the server with %v", syn, sent, want)
			})
		}
	}
}

// TestReflectThroughBoxes claims that a NAT that breaks on a change of the mark does not
// break the server's connections. If the client is inside, the box checks the client's
// marks; there the test uses only clients with one mark.
func TestReflectThroughBoxes(t *testing.T) {
	key := sshtest.NewKey(t, "")
	server := sshtest.StartGoServer(t, key)
	marks := marksItsSYN(t, server, key)
	for name, inside := range map[string]dscptest.Side{"server inside": dscptest.Server, "client inside": dscptest.Client} {
		for _, u := range reflectUses {
			if inside == dscptest.Client && (!marks || strings.Contains(u.ipqos, " ")) {
				continue // this ssh changes its own mark after login
			}
			t.Run(name+" "+u.name, func(t *testing.T) {
				box := dscptest.Config{
					Upstream: server.Addr, Inside: inside,
					Models: []dscptest.Model{dscptest.VMware, dscptest.FlowKey},
				}.NewMiddlebox(t)
				u.run(t, server, key, netip.MustParseAddrPort(box.Addr()))
				for _, f := range box.Flows() {
					assert.Equal(t, dscptest.Pass, f.Verdict, "%v", f)
				}
			})
		}
	}
}

// marksItsSYN reports whether the installed ssh sets the mark before it connects.
func marksItsSYN(t *testing.T, server *sshtest.GoServer, key *sshtest.Key) bool {
	t.Helper()
	box := dscptest.NewMiddlebox(t, server.Addr)
	addr := netip.MustParseAddrPort(box.Addr())
	args := server.Args(t, key, addr.String(), "IPQoS=cs1")
	require.NoError(t, exec.Command(sshtest.Tool(t, "ssh"), append(args, addr.Addr().String(), "true")...).Run())
	return box.Flows()[0].SYN == dscp.CS1
}

// TestReflectOption claims that the option's text is read back as the same marks.
func TestReflectOption(t *testing.T) {
	for text, want := range map[string]classes{
		"none": {}, "af21 cs1": {dscp.AF21, dscp.CS1}, "0x48 32 EF lowdelay": {dscp.AF21, dscp.CS1, dscp.EF, dscp.LowDelay},
	} {
		var c classes
		require.NoError(t, c.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, c)
		again, err := c.MarshalText()
		require.NoError(t, err)
		var second classes
		require.NoError(t, second.UnmarshalText(again), "%s", again)
		assert.Equal(t, want, second)
	}
	for _, text := range []string{"", " ", "bogus", "300", "af21,cs1", "73", "none af21"} {
		require.Error(t, new(classes).UnmarshalText([]byte(text)), "%q", text)
	}
}
