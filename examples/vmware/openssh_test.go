package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/openssh"
)

func TestFatal(t *testing.T) {
	for _, c := range []struct {
		marks marks
		fatal int
		text  string
	}{
		{marks{dscp.AF21}, -1, "0x48 AF21"},
		{marks{dscp.LowDelay, dscp.Throughput, dscp.LowDelay}, -1, "0x10→0x08→0x10"},
		{marks{dscp.AF21, dscp.AF22, dscp.CS1, dscp.AF21}, 2, "0x48→0x50→0x20→0x48"},
		{marks{dscp.DF, dscp.EF}, 1, "0x00→0xb8"},
		{nil, -1, "-"},
	} {
		assert.Equal(t, c.fatal, c.marks.fatal(), "%v", c.marks)
		assert.Equal(t, c.text, c.marks.String())
	}
}

// sshRows is the number of rows about the ssh command and sshd of this machine.
var sshRows = len(new(openSSH).strategies()) + len(new(openSSH).servers()) + pinnedSSHRows

// Two rows under pinexec are about ssh and sshd. The others are the script under pinexec
// and the sealed process.
const pinnedSSHRows, otherRows = 2, 2

// TestRealSSHAsExpected claims that the rows of this machine's ssh and sshd are as expected.
func TestRealSSHAsExpected(t *testing.T) {
	needBox(t)
	if err := exec.Command("ssh", "-V").Run(); err != nil {
		skip(t, "ssh does not run here: ", err)
	}
	for family, args := range families(t) {
		t.Run(family, func(t *testing.T) {
			rows, status, stderr := runJSON(t, args...)
			assert.Zero(t, status, stderr)
			tried := 0
			for _, r := range rows {
				if !strings.HasPrefix(r.Strategy, "ssh") {
					continue
				}
				tried++
				assert.True(t, r.OK, r)
				switch {
				case r.Outcome == "skipped":
					t.Log(r.Strategy, r.Program)
				case strings.Contains(r.Strategy, "none"):
					assert.Equal(t, "works", r.Outcome, r)
					assert.Equal(t, []string{"DF"}, r.Marks, r)
				case strings.Contains(r.Strategy, "16 8"):
					assert.Equal(t, "works", r.Outcome, r)
					assert.Subset(t, []string{"DF", "lowdelay", "throughput"}, r.Marks, r)
				case r.Outcome == "broken":
					assert.Contains(t, r.Box, "reset", r)
					assert.Regexp(t, `Broken pipe|Connection reset|closed by remote host`, r.Program)
				default:
					assert.Equal(t, "works", r.Outcome, r)
				}
			}
			assert.Equal(t, sshRows, tried)
		})
	}
}

// TestRealSSHRowsAgree claims that the marks in the rows of this machine's ssh agree with
// each other and with the IPQoS that -G prints.
func TestRealSSHRowsAgree(t *testing.T) {
	needBox(t)
	keys, err := newKeyring()
	require.NoError(t, err)
	o := findOpenSSH(t.Context(), keys)
	require.NoError(t, o.Close())
	rows, _, _ := runJSON(t, "-4")
	marksOf := func(strategy string) []string {
		r := find(t, rows, strategy)
		if r.Outcome == "skipped" {
			skip(t, r.Program)
		}
		return r.Marks
	}
	tty, exec := marksOf(o.name()+` -o IPQoS="16 8" (tty)`), marksOf(o.name()+` -o IPQoS="16 8" (exec)`)
	assert.Contains(t, tty, "lowdelay")
	assert.NotContains(t, tty, "throughput")
	assert.Contains(t, exec, "throughput")
	continual := len(exec) == 3 // 0x10→0x08→0x10
	early := exec[0] != "DF"
	assert.True(t, early || !continual)

	master := find(t, rows, o.name()+" ControlMaster, an exec joins a tty")
	q, err := openssh.Parse(o.ipqos)
	require.NoError(t, err)
	first := q.Interactive.Set(dscp.DF)
	broken := !early && first.Precedence() != 0 ||
		continual && q.Bulk.Set(first).Precedence() != first.Precedence()
	assert.Equal(t, broken, master.Outcome == "broken", master)
}

// answers is the part of a fake ssh that answers -V and -G.
const answers = `case "$*" in
-V) echo OpenSSH_9.2p1 >&2; exit;;
*-G*) echo "ipqos af21 cs1"; exit;;
esac
`

// pinexecLacks matches what pinexec says on a kernel or an architecture that it does not
// support.
var pinexecLacks = regexp.MustCompile(`^pinexec: (pinexec needs Linux 5\.19|seccomp: this kernel lacks )`)

// TestSSHSkipped claims that the rows of an ssh that cannot be used are skipped with a
// reason, and the program succeeds.
func TestSSHSkipped(t *testing.T) {
	needBox(t)
	for _, c := range []struct{ name, script, tmp, reason string }{
		{"absent", "", "", "executable file not found"},
		{"no passwd entry", `echo "No user exists for uid 4711" >&2; exit 255`, "", "No user exists for uid 4711 (exit status 255)"},
		{"another ssh", `echo "Dropbear v2022.83" >&2`, "", "not OpenSSH: Dropbear v2022.83"},
		{"no -G", `test "$1" = -V && { echo OpenSSH_9.2p1 >&2; exit; }; echo "no such option" >&2; exit 255`, "",
			"for its IPQoS: no such option (exit status 255)"},
		{"no login", answers + `echo "no mutual signature" >&2; exit 255`, "",
			"never logged in: no mutual signature (exit status 255)"},
		{"nowhere for the keys", answers, "/nonexistent", "/nonexistent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin := t.TempDir()
			if c.script != "" {
				fakeSSH(t, bin, c.script)
			}
			t.Setenv("PATH", bin)
			if c.tmp != "" {
				t.Setenv("TMPDIR", c.tmp)
			}
			rows, status, stderr := runJSON(t, "-4")
			assert.Zero(t, status, stderr)
			require.Len(t, rows, len(wantRows)+sshRows+otherRows)
			for _, r := range rows {
				if !strings.HasPrefix(r.Strategy, "ssh") {
					continue
				}
				assert.Equal(t, "skipped", r.Outcome)
				assert.True(t, r.OK)
				// What such a row needs beside ssh may be missing as well.
				if !strings.Contains(r.Program, "sshd cannot be used here") && !pinexecLacks.MatchString(r.Program) {
					assert.Contains(t, r.Program, c.reason)
				}
			}
		})
	}
}
