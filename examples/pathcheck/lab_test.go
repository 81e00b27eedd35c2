package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/nobody"
)

// Values of -timeout. On IPv4 the lab samples a flow a hundred times before it accepts a
// change, which takes long on a busy machine.
const (
	impatient = "2s" // for tests with dozens of timeouts
	patient   = "3s" // the same on IPv4
	forever   = "1m" // for tests without timeouts
)

// pathcheck runs the program.
func pathcheck(t *testing.T, timeout string, args ...string) (code int, stdout string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"-timeout", timeout}, args...), strings.NewReader(""), &out, &errs)
	if errs.Len() > 0 {
		t.Logf("stderr: %s", errs.String())
	}
	return code, out.String()
}

// pasted has the Dialers that the compiler makes of the advised expressions.
var pasted = map[string]dscp.Dialer{
	"dscp.Dialer{}":                                                                    {},
	"dscp.Dialer{DSCP: dscp.AF21}":                                                     {DSCP: dscp.AF21},
	"dscp.Dialer{DSCP: dscp.AF21, NATSafe: true}":                                      {DSCP: dscp.AF21, NATSafe: true},
	"dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}}":                {DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}},
	"dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}}": {DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF}},
}

// requireCured connects through the box with the advised settings.
func requireCured(t *testing.T, box *dscptest.Middlebox, c cure) {
	t.Helper()
	d, ok := pasted[c.dialer]
	require.True(t, ok, c.dialer)
	conn, err := d.DialContext(t.Context(), "tcp", box.Addr())
	require.NoError(t, err, c.dialer)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(t, keyExchange(conn, target{host: "lab"}, nil, func() error { return nil }), c.dialer)

	ssh, err := exec.LookPath("ssh")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Logf("the line for ssh_config is not tested: %v", err)
		return
	}
	config := t.TempDir() + "/ssh_config"
	require.NoError(t, os.WriteFile(config, []byte("Host *\n  "+c.ssh+"\n"), 0o600))
	host, port, err := net.SplitHostPort(box.Addr())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, ssh, "-F", config, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-p", port, "nobody@"+host, "true").CombinedOutput()
	require.NoError(t, err, "%s: %s", c.ssh, out)
	assert.Equal(t, "works\n", string(out))
}

// pairs are some pairs of models, the second after the first on the path.
// TestPairsOfModelsAreFound has all pairs.
var pairs = [][2]string{
	{"VMware", "FlowKey"},
	{"FlowKey", "VMware"},
	{"DropMarked(AF21)", "VMware"},
	{"VMware", "DropMarked(EF)"},
	{"DropMarkedData(lowdelay)", "FlowKey"},
}

// A verdict is a verdict of pathcheck -json.
type verdict struct {
	Kind, Target, State string
	Findings            []struct{ Text string }
	SSH                 string `json:"ssh_config"`
	Dialer              string
	Notes               []string
	Tried               []attempt
}

func (v verdict) texts() []string {
	texts := []string{}
	for _, f := range v.Findings {
		texts = append(texts, f.Text)
	}
	slices.Sort(texts)
	return texts
}

// TestLab claims that for each model of the lab, and for pairs, the findings on real
// sockets are those of the simulated path, and that the advised settings work.
func TestLab(t *testing.T) {
	t.Parallel()
	t.Run("IPv6", func(t *testing.T) {
		t.Parallel()
		paths := make(labPaths)
		for name, h := range harmful {
			if !strings.HasSuffix(name, "()") { // if all marks are lost, the test takes long
				paths.add(t, name, "[::1]:0", h.model)
			}
		}
		for name, model := range rewriting {
			if name != "OneMark" { // it fails the test, since pathcheck changes marks
				paths.add(t, name, "[::1]:0", model)
			}
		}
		for _, p := range pairs {
			paths.add(t, p[0]+" before "+p[1], "[::1]:0", harmful[p[0]].model, harmful[p[1]].model)
		}
		paths.check(t, impatient)
	})
	t.Run("IPv4", func(t *testing.T) {
		t.Parallel()
		paths := make(labPaths)
		for _, name := range []string{"VMware", "FlowKey", "DropMarked(EF)", "DropMarked(AF21)", "DropMarkedData(AF21)"} {
			paths.add(t, name, "127.0.0.1:0", harmful[name].model)
		}
		paths.add(t, "Bleach", "127.0.0.1:0", dscptest.Bleach)
		paths.check(t, patient)
	})
}

// labPaths are boxes of the lab with the expected diagnosis, by target.
type labPaths map[string]labPath

type labPath struct {
	name string
	box  *dscptest.Middlebox
	want diagnosis
}

func (paths labPaths) add(t *testing.T, name, family string, models ...dscptest.Model) {
	t.Helper()
	box := dscptest.NewMiddlebox(t, sshServer(t, family), models...)
	paths["ssh://"+box.Addr()] = labPath{name, box, simulate(1, 0, ssh2, models...)}
}

// check checks all of them concurrently.
func (paths labPaths) check(t *testing.T, timeout string) {
	t.Helper()
	code, out := pathcheck(t, timeout, slices.Concat([]string{"-json", "-parallel", "100"}, slices.Collect(maps.Keys(paths)))...)
	assert.Equal(t, exitHarm, code)
	told := 0
	for line := range strings.Lines(out) {
		var v verdict
		require.NoError(t, json.Unmarshal([]byte(line), &v))
		if v.Kind != "verdict" {
			continue
		}
		told++
		p := paths[v.Target]
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, string(p.want.state), v.State, line)
			assert.Equal(t, p.want.texts(), v.texts(), line)
			assert.Equal(t, p.want.cure, cure{v.SSH, v.Dialer}, line)
			if p.want.state == harm {
				requireCured(t, p.box, p.want.cure)
			}
		})
	}
	assert.Equal(t, len(paths), told)
}

// TestReport claims the text of a report.
func TestReport(t *testing.T) {
	t.Parallel()
	box := dscptest.NewMiddlebox(t, sshServer(t, "[::1]:0"), dscptest.VMware)
	code, out := pathcheck(t, forever, "ssh://"+box.Addr())
	assert.Equal(t, exitHarm, code)
	assert.Regexp(t, `(?m)^ssh://\[::1\]:\d+ \(ssh over \[::1\]:\d+\): harm found$
  trials: 6 of 27 failed; unmarked controls: 0 of \d+ failed
  resets a flow whose IP precedence changes, like VMware's NAT
    DF→AF21 +3 of 3 failed: .*; by chance: 1 in \d{3,}
    AF21→CS1 +3 of 3 failed: .*; by chance: 1 in \d{3,}
  in ssh_config:     IPQoS 16
  in a Go program:   dscp.Dialer\{DSCP: dscp.AF21\}
$`, out)
}

// TestSchemes claims that pathcheck tests servers of each protocol.
func TestSchemes(t *testing.T) {
	t.Parallel()
	for scheme, upstream := range map[string]string{
		ssh2: sshServer(t, "127.0.0.1:0"), plainHTTP: webServer(t, false), secureHTTP: webServer(t, true), pathcheckPeer: peerServer(t, "127.0.0.1:0"),
	} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			code, out := pathcheck(t, forever, scheme+"://"+upstream)
			assert.Equal(t, exitNoHarm, code, out)
			box := dscptest.NewMiddlebox(t, upstream, dscptest.VMware)
			code, out = pathcheck(t, forever, scheme+"://"+box.Addr())
			assert.Equal(t, exitHarm, code, out)
			assert.Contains(t, out, vmwareLike)
		})
	}
	t.Run("an SSH server on another port", func(t *testing.T) {
		t.Parallel()
		box := dscptest.NewMiddlebox(t, sshServer(t, "127.0.0.1:0"), dscptest.VMware)
		code, out := pathcheck(t, forever, box.Addr())
		assert.Equal(t, exitHarm, code, out)
		assert.Contains(t, out, "(ssh over ")
		assert.Contains(t, out, vmwareLike)
	})
	t.Run("an IPv6 address in a URL", func(t *testing.T) {
		t.Parallel()
		code, out := pathcheck(t, forever, "http://"+webServerAt(t, "[::1]:0"))
		assert.Equal(t, exitNoHarm, code, out)
	})
	t.Run("HTTP that closes after each answer", func(t *testing.T) {
		t.Parallel()
		code, out := pathcheck(t, forever, "http://"+curtServer(t))
		assert.Equal(t, exitNoHarm, code, out)
		assert.Contains(t, out, "could not be judged")
	})
	t.Run("wait", func(t *testing.T) {
		t.Parallel()
		box := dscptest.NewMiddlebox(t, muteServer(t), dscptest.DropMarked(dscp.EF))
		code, out := pathcheck(t, impatient, box.Addr())
		assert.Equal(t, exitHarm, code, out)
		assert.Contains(t, out, "drops SYNs marked EF\n")
		assert.Contains(t, out, "only the TCP handshake was tested")
	})
}

// TestDeadServerNamesReason claims that pathcheck names the reason if unmarked connections fail.
func TestDeadServerNamesReason(t *testing.T) {
	t.Parallel()
	closed := listen(t, "127.0.0.1:0", func(net.Conn) {})
	hole := dscptest.NewMiddlebox(t, sshServer(t, "127.0.0.1:0"), func(s dscptest.Segment) dscptest.Verdict { return dscptest.Drop })
	for name, tt := range map[string]struct{ target, says string }{
		"a dead host":                   {"ssh://" + hole.Addr(), "could not tell: the host does not answer"},
		"a closed port":                 {nobody.Listens(t, "127.0.0.1:0"), "could not tell: the connection is refused"},
		"a server that does not answer": {"ssh://" + muteServer(t), "could not tell: the server accepts connections but does not answer"},
		"a server that closes":          {"http://" + closed, "could not tell: the server closes every connection"},
		// The resolver rejects this name without a query.
		"a name that does not resolve": {"ssh://no..such.host", "could not tell: the name does not resolve"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out := pathcheck(t, impatient, tt.target)
			assert.Equal(t, exitUncertain, code, out)
			assert.Contains(t, out, tt.says)
		})
	}
}

// TestPeer claims that with -peer, pathcheck names each kind of rewriting.
func TestPeer(t *testing.T) {
	t.Parallel()
	for _, family := range []string{"127.0.0.1:0", "[::1]:0"} {
		server := peerServer(t, family)
		for name, want := range map[string]string{
			"Bleach": "Bleach-DSCP", "BleachToSPrecedence": "Bleach-ToS-Precedence", "BleachSomeToS": "Bleach-some-ToS",
			"RemarkToS": "Re-mark-ToS", "BleachLow": "Bleach-low", "BleachSomeLow": "Bleach-some-low", "Remark": "Re-mark-DSCP, to CS1",
		} {
			t.Run(name+" "+family, func(t *testing.T) {
				t.Parallel()
				box := dscptest.NewMiddlebox(t, server, rewriting[name])
				code, out := pathcheck(t, forever, "-peer", box.Addr())
				assert.Equal(t, exitNoHarm, code, out)
				assert.Contains(t, out, "marks are rewritten: "+want+" (RFC 9435)\n")
			})
		}
		t.Run("none "+family, func(t *testing.T) {
			t.Parallel()
			code, out := pathcheck(t, forever, "-peer", server)
			assert.Equal(t, exitNoHarm, code, out)
			assert.Contains(t, out, "all marks arrive unchanged\n")
		})
	}
}

// TestPeerOnAllAddresses claims that -serve on all addresses reads the marks of IPv4 and
// IPv6 clients, whose connections are on sockets of one family.
func TestPeerOnAllAddresses(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(peerServer(t, ":0"))
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "::1"} {
		code, out := pathcheck(t, forever, "-json", "-peer", net.JoinHostPort(host, port))
		assert.Equal(t, exitNoHarm, code, out)
		assert.NotContains(t, out, changesWithin)
		assert.Contains(t, out, `"arrived":{"syn":"AF21"`)
		assert.Contains(t, out, `"after":["AF21"]`)
	}
}

func TestPeerIsAnotherServer(t *testing.T) {
	t.Parallel()
	code, out := pathcheck(t, forever, "-peer", webServer(t, false))
	assert.Equal(t, exitUncertain, code)
	assert.Contains(t, out, "not pathcheck -serve")
}

// TestJSON claims that -json prints a line for each trial and each target.
func TestJSON(t *testing.T) {
	t.Parallel()
	upstream := sshServer(t, "[::1]:0")
	broken := dscptest.NewMiddlebox(t, upstream, dscptest.VMware)
	code, out := pathcheck(t, forever, "-json", "-parallel", "2", "ssh://"+upstream, "ssh://"+broken.Addr(), "ssh://no..such.host")
	assert.Equal(t, exitHarm, code)
	machine, err := os.Hostname()
	require.NoError(t, err)
	trials, states := map[string]int{}, map[string]string{}
	for line := range strings.Lines(out) {
		var l struct {
			Kind, Machine, Target, State, Probe, Outcome string
			Findings                                     []struct{ Text string }
			SSH                                          string `json:"ssh_config"`
			Trials, Controls                             int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &l), line)
		assert.Equal(t, machine, l.Machine)
		switch l.Kind {
		case "trial":
			assert.NotEmpty(t, l.Probe)
			assert.NotEmpty(t, l.Outcome)
			trials[l.Target]++
		case "verdict":
			states[l.Target] = l.State
			assert.Equal(t, trials[l.Target], l.Trials+l.Controls, "there is a line for every trial")
			if l.Target == "ssh://"+broken.Addr() {
				require.Len(t, l.Findings, 1)
				assert.Equal(t, vmwareLike, l.Findings[0].Text)
				assert.Equal(t, "IPQoS 16", l.SSH)
			}
		default:
			t.Errorf("kind %q", l.Kind)
		}
	}
	assert.Equal(t, map[string]string{
		"ssh://" + upstream:      string(noHarm),
		"ssh://" + broken.Addr(): string(harm),
		"ssh://no..such.host":    string(couldNotTell),
	}, states)
}

// TestInterrupt claims that an interrupt ends pathcheck at once.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	target := listen(t, "127.0.0.1:0", func(c net.Conn) {
		cancel() // the connection is open and silent
		<-t.Context().Done()
	})
	var out, errs bytes.Buffer
	begin := time.Now()
	code := run(ctx, []string{"-timeout", "1h", "ssh://" + target}, nil, &out, &errs)
	assert.Less(t, time.Since(begin), time.Minute)
	assert.Equal(t, exitUncertain, code)
	assert.Contains(t, out.String(), "interrupted")
}
