package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// wantRows are the rows that are the same on every machine. The rows of the ssh command
// have other tests.
var wantRows = []struct {
	strategy, syn, after string
	vmware               outcome
	box                  string // behind VMware's NAT
}{
	{"script 1: 0x48 before connect", "AF21", "AF21", works, "passed"},
	{"script 2: 0x48 after connect", "DF", "AF21", broken, "reset, precedence 0 to 2"},
	{"Go: dial, then x/net SetTOS(0x48)", "DF", "AF21", broken, "reset, precedence 0 to 2"},
	{"OpenSSH 7.8: AF21 after login (tty)", "DF", "AF21", broken, "reset, precedence 0 to 2"},
	{"OpenSSH 7.8: CS1 after login (exec)", "DF", "CS1", broken, "reset, precedence 0 to 1"},
	{"OpenSSH 7.7: lowdelay after login (tty)", "DF", "lowdelay", works, "passed"},
	{"OpenSSH 7.7: throughput after login (exec)", "DF", "throughput", works, "passed"},
	{"OpenSSH 10.1: EF, 0 for a bulk channel", "EF", "DF", broken, "reset, precedence 5 to 0"},
	{"dscp.Dialer{DSCP: AF21}", "AF21", "AF21", works, "passed"},
	{"dscp.Dialer{DSCP: CS1}", "CS1", "CS1", works, "passed"},
	{"dscp.Dialer{DSCP: AF21, NATSafe: true}", "lowdelay", "lowdelay", works, "passed"},
	{"dscp.Dialer, later conn.SetDSCP(CS1)", "AF21", "AF21", refused, "passed"},
	{"dscp.Dialer, later x/net SetTOS(0x20)", "AF21", "AF21", refused, "passed"},
	{"server: AF21 after accept", "DF", "AF21", broken, "reset, precedence 0 to 2"},
	{"server: dscp.ListenConfig{DSCP: AF21}", "AF21", "AF21", works, "passed"},
}

func TestVMware(t *testing.T) {
	needBox(t)
	for family, args := range families(t) {
		t.Run(family, func(t *testing.T) {
			rows, status, stderr := runJSON(t, args...)
			assert.Zero(t, status, stderr)
			rows = without(rows, "ssh")
			require.Len(t, rows, len(wantRows))
			for i, want := range wantRows {
				got := rows[i]
				assert.NotEmpty(t, got.Program, want.strategy)
				got.Program = ""
				assert.Equal(t, printed{
					Strategy: want.strategy, SYN: want.syn, After: want.after, Marks: slices.Compact([]string{want.syn, want.after}), Box: want.box,
					Outcome: string(want.vmware), Expected: string(want.vmware), OK: true,
				}, got)
			}
			assert.Contains(t, find(t, rows, "script 2: 0x48 after connect").Program, "connection reset by peer")
		})
	}
}

// TestPinned claims that programs under pinexec have one mark and work, or are skipped
// with a reason.
func TestPinned(t *testing.T) {
	needBox(t)
	for family, args := range families(t) {
		t.Run(family, func(t *testing.T) {
			rows, status, stderr := runJSON(t, args...)
			assert.Zero(t, status, stderr)
			for _, strategy := range []string{"script 2 under pinexec", "ssh under pinexec", "sshd under pinexec"} {
				r := find(t, rows, strategy)
				assert.True(t, r.OK, r)
				if r.Outcome == string(skipped) {
					t.Log(strategy, r.Program)
					continue
				}
				assert.Equal(t, []string{"AF21"}, r.Marks, r)
				assert.Equal(t, string(works), r.Outcome, r)
			}
		})
	}
}

// TestSealed claims that a sealed process cannot change its mark past its Conn, or is
// skipped with a reason.
func TestSealed(t *testing.T) {
	needBox(t)
	for family, args := range families(t) {
		t.Run(family, func(t *testing.T) {
			rows, status, stderr := runJSON(t, args...)
			assert.Zero(t, status, stderr)
			r := find(t, rows, "dscp.Seal, later setsockopt and File()")
			assert.True(t, r.OK, r)
			if r.Outcome == string(skipped) {
				t.Skip(r.Program)
			}
			assert.Equal(t, []string{"AF21"}, r.Marks, r)
			assert.Equal(t, string(refused), r.Outcome, r)
			assert.Contains(t, r.Program, "operation not permitted")
			assert.Contains(t, r.Program, "HTTP 200")
		})
	}
}

func TestNoBox(t *testing.T) {
	needBox(t)
	for family, args := range families(t) {
		t.Run(family, func(t *testing.T) {
			rows, status, stderr := runJSON(t, append(args, "-nat", "none")...)
			assert.Zero(t, status, stderr)
			rows = without(rows, "ssh")
			require.Len(t, rows, len(wantRows))
			for i, want := range wantRows {
				outcome := string(works)
				if want.vmware == refused {
					outcome = string(refused) // by the Conn, with or without a box
				}
				got := rows[i]
				got.Program = ""
				assert.Equal(t, printed{
					Strategy: want.strategy, SYN: want.syn, After: want.after, Marks: slices.Compact([]string{want.syn, want.after}), Box: "passed",
					Outcome: outcome, Expected: outcome, OK: true,
				}, got)
			}
		})
	}
}

func TestText(t *testing.T) {
	needBox(t)
	status, stdout, stderr := runText(t, "-4", "-v")
	assert.Zero(t, status, stderr)
	assert.Empty(t, stderr)

	lines := strings.Split(stdout, "\n")
	assert.Contains(t, lines[0], "The box on 127.0.0.1 is a model of VMware's NAT")
	head := slices.Index(lines, "") + 1
	lines = lines[head:]
	assert.Regexp(t, `^strategy +marks, the SYN's first +the box +what the program saw$`, lines[0])
	program := strings.Index(lines[0], "what the program saw")
	for _, line := range lines[1 : 1+len(wantRows)+sshRows+otherRows] {
		assert.Regexp(t, `^(works|broken|refused|skipped): `, string([]rune(line)[program:]), "not aligned: %s", line)
	}
	assert.Contains(t, stdout, "\nSet the mark before connect or listen and never change it")
	assert.Contains(t, stdout, `
Evidence: script 2: 0x48 after connect (client→server, tcp4)
  at the box                last good segment   fatal segment
  ip.dsfield.dscp           0 (DF)              18 (AF21)
  octet                     0x00                0x48
  IP precedence             0                   2
`)
}

func TestBadFlags(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"-nat cisco", `-nat "cisco": want vmware or none`},
		{"more", `unexpected argument "more"`},
		{"-6", "flag provided but not defined: -6"},
		{"-target=", `-target "": want host:port`},
		{"-target example.com", `-target "example.com": want host:port`},
		{"-target :80", `-target ":80": want host:port`},
		{"-target example.com:80 -v", "with -target there is none"},
		{"-target example.com:80 -nat none", "with -target there is none"},
	} {
		status, stdout, stderr := runText(t, strings.Fields(c.args)...)
		assert.Equal(t, 2, status, c.args)
		assert.Empty(t, stdout, c.args)
		assert.Contains(t, stderr, c.says, c.args)
		assert.Equal(t, 2, strings.Count(stderr, "\n"), "one line and a hint: %s", stderr)
		assert.Contains(t, stderr, "vmware -h")
	}
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := runText(t, "-h")
	assert.Zero(t, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "usage: vmware")
}

func TestInsteadOfBox(t *testing.T) {
	err := insteadOfBox(&dscp.UnsupportedError{OS: "darwin", Option: "TCP_SAVED_SYN"})
	assert.EqualError(t, err, "the box cannot run here (dscp: unsupported on darwin: TCP_SAVED_SYN); "+
		"-target host:port works without it, over your network")
	assert.Equal(t, io.EOF, insteadOfBox(io.EOF))
}

func TestConclude(t *testing.T) {
	reset := &dscptest.Flow{Verdict: dscptest.Reset}
	rows := []row{
		{strategy: "as expected", outcome: broken, expected: broken, flow: reset},
		{strategy: "no expectation", outcome: broken, expected: anything},
		{strategy: "not tried", outcome: skipped, expected: works},
	}
	assert.Contains(t, conclude(rows, natVMware), "never change it")
	assert.Contains(t, conclude(rows, natNone), "Without a NAT every strategy works")

	rows = append(rows,
		row{strategy: "odd", outcome: works, expected: broken, flow: reset},
		row{strategy: "even", outcome: broken, expected: refused, flow: reset},
		row{strategy: "broken, but passed", outcome: broken, expected: broken, flow: new(dscptest.Flow)},
		row{strategy: "broken, without a flow", outcome: broken, expected: broken},
		row{strategy: "bare", outcome: works, expected: works, syn: known(dscp.DF), carries: known(dscp.EF)},
		row{strategy: "marked", outcome: works, expected: works, syn: known(dscp.EF), carries: known(dscp.EF)},
	)
	assert.Equal(t, `Not as expected: "odd" (works, expected broken by the box); "even" (broken, expected refused); `+
		`"broken, but passed" (broken, expected broken by the box); "broken, without a flow" (broken, expected broken by the box); `+
		`"bare" (works, expected works, with EF on the SYN).`,
		conclude(rows, natVMware))

	var out bytes.Buffer
	require.NoError(t, newTable(&out, nil).row(rows[3]))
	assert.Contains(t, out.String(), "<< expected: broken by the box")
}
