package sshtest_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
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
	"github.com/godscp/godscp/examples/internal/openssh"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
	"github.com/godscp/godscp/internal/wire"
)

// A marking is the way in which the side inside the NAT marks its connection.
type marking string

const (
	naive   marking = "naive"    // as OpenSSH does with af21 cs1: it changes the mark of the established connection
	pinned  marking = "pinned"   // one mark
	natSafe marking = "NAT-safe" // one mark with IP precedence zero; OpenSSH's server can only change to such marks
)

// A purpose is the use of a connection.
type purpose string

const (
	shell    purpose = "shell"
	command  purpose = "command"
	transfer purpose = "transfer"
)

// A cell is one combination of the matrix.
type cell struct {
	client, server string // "OpenSSH" or "Go"
	box            string // "direct", "VMware" or "FlowKey"
	inside         dscptest.Side
	marking        marking
	purpose        purpose
	stock          *stock
}

// stock is how the installed programs behave.
type stock struct{ ssh, sshd behaviour }

// ipqos has the IPQoS value for each marking.
var ipqos = map[marking]string{naive: "af21 cs1", pinned: "none", natSafe: "16 8"}

func (c cell) String() string {
	return fmt.Sprintf("%s to %s, %s, %v inside is %s, %s", c.client, c.server, c.box, c.inside, c.marking, c.purpose)
}

// exists reports whether the programs can do this: the Go programs cannot change a
// mark.
func (c cell) exists() bool {
	if c.marking != naive {
		return true
	}
	return c.inside == dscptest.Client && c.client == "OpenSSH" || c.inside == dscptest.Server && c.server == "OpenSSH"
}

// marks returns the expected marks of the inside side's packets, in order.
func (c cell) marks() []dscp.CodePoint {
	interactive := c.purpose == shell
	use := map[purpose]string{shell: useTerminal, command: useExec, transfer: useSFTP}[c.purpose]
	switch {
	case c.inside == dscptest.Server && c.server == "OpenSSH":
		q, _ := openssh.Parse(ipqos[c.marking])
		return c.stock.sshd.marks(q, use)
	case c.inside == dscptest.Client && c.marking == naive:
		q, _ := openssh.Parse(ipqos[c.marking])
		return c.stock.ssh.marks(q, use)
	case c.inside == dscptest.Server && (c.client == "OpenSSH" || c.marking == natSafe):
		// sshserver answers a SYN that has one of its two marks with that mark, and every
		// other with the interactive one. A stock ssh's SYN never has the bulk mark, and
		// sshclient runs without -nat-safe here.
		interactive = true
	}
	switch {
	case c.marking == natSafe && interactive:
		return []dscp.CodePoint{dscp.LowDelay}
	case c.marking == natSafe:
		return []dscp.CodePoint{dscp.Throughput}
	case interactive:
		return []dscp.CodePoint{dscp.AF21}
	}
	return []dscp.CodePoint{dscp.CS1}
}

// verdict returns the verdict that the box should reach: its documented rule applied
// to the expected marks.
func (c cell) verdict() dscptest.Verdict {
	switch marks := c.marks(); {
	case c.box == "VMware" && fatal(marks) >= 0:
		return dscptest.Reset
	case c.box == "FlowKey" && len(marks) > 1:
		return dscptest.Blackhole
	}
	return dscptest.Pass
}

// TestMatrix claims that each combination of client, server, box, marking and
// purpose works or breaks as the rules of the boxes say, and checks the marks of
// all packets of those that work.
func TestMatrix(t *testing.T) {
	sshtest.Built(t, "sshclient", "sshserver", "proxycommand")
	if !testns.Inside(t) {
		return
	}
	dscptest.Require(t, dscptest.BoxIPv4)
	for _, tool := range []string{"ssh", "sftp"} {
		testns.Require(t, tool)
	}
	stock := &stock{ssh: observe(t, dscptest.Client), sshd: observe(t, dscptest.Server)}
	small, large := newFile(t, 1<<20), newFile(t, 64<<20)

	for _, client := range []string{"OpenSSH", "Go"} {
		for _, server := range []string{"OpenSSH", "Go"} {
			for _, box := range []string{"direct", "VMware", "FlowKey"} {
				for _, inside := range []dscptest.Side{dscptest.Client, dscptest.Server} {
					for _, m := range []marking{naive, pinned, natSafe} {
						for _, p := range []purpose{shell, command, transfer} {
							c := cell{client, server, box, inside, m, p, stock}
							if c.exists() {
								f := small
								if m == pinned && box == "VMware" && !testing.Short() {
									f = large
								}
								t.Run(c.String(), func(t *testing.T) {
									t.Parallel()
									newRun(t, c).check(f)
								})
							}
						}
					}
				}
			}
		}
	}
}

// A file is something to transfer.
type file struct {
	name string
	sum  [sha256.Size]byte
}

func newFile(t *testing.T, size int) file {
	t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	f := file{name: filepath.Join(t.TempDir(), "file"), sum: sha256.Sum256(data)}
	require.NoError(t, os.WriteFile(f.name, data, 0o600))
	return f
}

// A run is one run of a cell.
type run struct {
	*testing.T
	cell
	key     *sshtest.Key
	args    func(addr string, options ...string) []string // for OpenSSH's clients
	user    string
	known   func(addr string) string // a known_hosts file
	addr    string                   // the address to which the client connects
	server  netip.AddrPort
	flows   func() []dscptest.Flow
	capture *wire.Capture
}

func newRun(t *testing.T, c cell) *run {
	r := &run{T: t, cell: c, key: sshtest.NewKey(t, "")}
	var addr string
	if c.server == "OpenSSH" {
		var config []string // none, if the server is outside
		if c.inside == dscptest.Server {
			config = []string{"IPQoS " + ipqos[c.marking]}
		}
		s := sshtest.StartSSHD(t, r.key, config...)
		addr, r.user = s.Addr, s.User
		r.known = func(addr string) string { return sshtest.KnownHosts(t, s.HostKey, addr) }
		r.args = func(addr string, options ...string) []string { return s.Args(t, r.key, addr, options...) }
	} else {
		var options []string
		if c.inside == dscptest.Server && c.marking == natSafe {
			options = append(options, "-nat-safe")
		}
		s := sshtest.StartGoServer(t, r.key, options...)
		addr, r.user = s.Addr, "user"
		r.known = func(addr string) string { return sshtest.KnownHosts(t, s.HostKey, addr) }
		r.args = func(addr string, options ...string) []string { return s.Args(t, r.key, addr, options...) }
	}
	r.server = netip.MustParseAddrPort(addr)
	r.addr, r.flows = addr, func() []dscptest.Flow { return nil }
	if c.box != "direct" {
		config := dscptest.Config{Upstream: addr, Inside: c.inside, Models: []dscptest.Model{dscptest.VMware}}
		if c.box == "FlowKey" {
			config.Models = []dscptest.Model{dscptest.FlowKey}
		}
		box, err := config.Start()
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, box.Close()) })
		r.addr, r.flows = box.Addr(), box.Flows
	}
	port := netip.MustParseAddrPort(r.addr).Port()
	if c.inside == dscptest.Server {
		port = r.server.Port()
	}
	r.capture = wire.Start(t, "lo", port)
	return r
}

// ssh returns the client's command for the purpose.
func (r *run) ssh(words ...string) *exec.Cmd {
	if r.client == "Go" {
		return r.goClient(words...)
	}
	var options []string
	if r.verdict() == dscptest.Blackhole {
		// With keep-alives ssh notices that the box drops all packets.
		options = append(options, "ServerAliveInterval=1", "ServerAliveCountMax=3", "ConnectTimeout=5")
	}
	program := sshtest.Program(r, "proxycommand")
	switch {
	case r.inside == dscptest.Server: // ssh is outside, with its defaults
	case r.marking == naive:
		options = append(options, "IPQoS="+ipqos[naive])
	default:
		proxy := program + " -fdpass -class bulk"
		if r.purpose == shell {
			proxy = program + " -fdpass -class interactive"
		}
		if r.marking == natSafe {
			proxy += " -nat-safe"
		}
		options = append(options, "IPQoS=none", "ProxyUseFdpass=yes", "ProxyCommand="+proxy+" '%h' %p")
	}
	args := r.args(r.addr, options...)
	switch r.purpose {
	case transfer:
		return exec.Command("sftp", append(args, "-b", "-", "127.0.0.1")...)
	case shell:
		args = append(args, "-tt")
	}
	return exec.Command("ssh", append(append(args, "127.0.0.1"), words...)...)
}

func (r *run) goClient(words ...string) *exec.Cmd {
	_, port, err := net.SplitHostPort(r.addr)
	require.NoError(r, err)
	args := []string{"-F", "none", "-p", port, "-l", r.user, "-i", r.key.File, "-o", "UserKnownHostsFile=" + r.known(r.addr)}
	if r.inside == dscptest.Client && r.marking == natSafe {
		args = append(args, "-nat-safe")
	}
	program := sshtest.Program(r, "sshclient")
	var cmd *exec.Cmd
	if r.purpose == transfer {
		cmd = exec.Command("sftp", "-b", "-", "-S", sshtest.Transport(r, append(append([]string{program}, args...), "-s", "127.0.0.1", "sftp")), "127.0.0.1")
	} else {
		cmd = exec.Command(program, append(append(args, "127.0.0.1"), words...)...)
	}
	cmd.Env = append(os.Environ(), "HOME="+r.TempDir(), "SSH_AUTH_SOCK=")
	return cmd
}

// check runs the cell. It checks the verdict, the result of the command and the
// marks.
func (r *run) check(f file) {
	var output string
	var ok bool
	switch r.purpose {
	case shell:
		output, ok = r.runShell()
	case command:
		output, ok = r.runCommand()
	case transfer:
		output, ok = r.transferFile(f)
	}
	want := r.verdict()
	if r.box != "direct" {
		flows := r.flows()
		require.Len(r, flows, 1, output)
		assert.Equal(r, want, flows[0].Verdict, "%s: %s", flows[0].Reason, output)
	}
	if want == dscptest.Pass {
		require.True(r, ok, output)
		r.checkMarks(r.marks())
		return
	}
	assert.False(r, ok, output)
	r.Logf("%v: %q", want, output[max(0, len(output)-120):])
	if r.client == "OpenSSH" {
		// The messages of the published reports.
		assert.Regexp(r, "Broken pipe|Connection reset by (peer|127\\.0\\.0\\.1 port [0-9]+)|[Cc]onnection (to .* )?closed|not responding|timed out", output)
	}
}

// checkMarks checks the marks of all packets that the inside side's socket sent.
func (r *run) checkMarks(want []dscp.CodePoint) {
	packets := r.capture.Until(wire.Closed(1))
	var got []dscp.CodePoint
	var turns []wire.Packet
	sent := 0
	for _, p := range packets {
		if (p.Dst.String() == r.addr) != (r.inside == dscptest.Client) || r.inside == dscptest.Server && p.Src != r.server {
			continue
		}
		if p.Ownerless() {
			continue
		}
		sent++
		if cp := dscp.CodePoint(p.DSCP()); len(got) == 0 || got[len(got)-1] != cp {
			got = append(got, cp)
			turns = append(turns, p)
		}
	}
	assert.Equal(r, want, got, "the first packet of each mark, and the last 40 packets:\n%v\n%v", wire.Text(turns), wire.Text(packets[max(0, len(packets)-40):]))
	assert.Greater(r, sent, 10)
}

// silenced reports whether the box drops all packets of the flow.
func (r *run) silenced() bool {
	f := r.flows()
	return len(f) > 0 && f[0].Verdict == dscptest.Blackhole
}

// finish waits for a command to end. If the box drops all packets, OpenSSH ends by
// its keep-alives; finish kills sshclient, which has none here.
func (r *run) finish(cmd *exec.Cmd, ended <-chan struct{}) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case <-ended:
			return
		case <-deadline:
			r.Errorf("the client does not end")
			cmd.Process.Kill()
			<-ended
			return
		case <-ticker.C:
			if r.client == "Go" && r.silenced() {
				cmd.Process.Kill()
			}
		}
	}
}

func (r *run) execute(cmd *exec.Cmd, stdin string) (stdout, stderr string, ok bool) {
	var out, said strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	cmd.WaitDelay = 20 * time.Second // sftp's transport may outlive sftp
	if r.verdict() == dscptest.Blackhole {
		cmd.WaitDelay = time.Second // it does here, and prints nothing more
	}
	require.NoError(r, cmd.Start())
	ended := make(chan struct{})
	var err error
	go func() {
		err = cmd.Wait()
		close(ended)
	}()
	r.finish(cmd, ended)
	return out.String(), said.String(), err == nil
}

// runShell types into a shell.
func (r *run) runShell() (output string, ok bool) {
	cmd := r.ssh()
	p := sshtest.StartTerminal(r, cmd)
	p.Type("echo $((6*7)); head -c 100000 /dev/zero | tr '\\0' x | tail -c 5; echo; exit 7\n")
	r.finish(cmd, p.Ended())
	return p.Output(), p.Wait() == 7 && strings.Contains(p.Output(), "42\r\nxxxxx\r\n")
}

// runCommand sends a megabyte through a command and back.
func (r *run) runCommand() (output string, ok bool) {
	stdin := strings.Repeat("0123456789abcde\n", 1<<16)
	stdout, stderr, ok := r.execute(r.ssh("cat"), stdin)
	same := 0
	for same < min(len(stdout), len(stdin)) && stdout[same] == stdin[same] {
		same++
	}
	// stderr comes last: check matches it and logs the end of output.
	output = fmt.Sprintf("%d of %d bytes came back, the first %d unchanged\n%s", len(stdout), len(stdin), same, stderr)
	return output, ok && stdout == stdin
}

// transferFile puts a file and gets it back.
func (r *run) transferFile(f file) (output string, ok bool) {
	there, back := filepath.Join(r.TempDir(), "there"), filepath.Join(r.TempDir(), "back")
	stdout, stderr, ok := r.execute(r.ssh(), fmt.Sprintf("put %s %s\nget %s %s\n", f.name, there, there, back))
	data, err := os.ReadFile(back)
	return stdout + stderr, ok && err == nil && sha256.Sum256(data) == f.sum
}
