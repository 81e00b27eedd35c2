package sshtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/openssh"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/testns"
)

// Environment variables of TestOpenSSH: the file for its tables, and a name that it
// adds to the version of the programs. Without a file it tests only the defaults
// and the cures.
const (
	tableFile = "GODSCP_SSH_TABLE"
	tableName = "GODSCP_SSH_NAME"
)

// A setting is a configuration of marks.
type setting struct {
	name  string
	lines string // of the configuration
	cure  bool   // every use has only one mark
}

// row names the setting in the table. value is the IPQoS that the program prints.
func (s setting) row(value string) string {
	if s.lines == "" {
		return s.name + ", `" + value + "`"
	}
	return s.name
}

// TestOpenSSH makes tables of the marks of the installed ssh and sshd: the marks on
// a direct path, and the mark (✗) at which VMware's NAT resets the connection. It
// claims that they follow from the output of -G and -T and from the behaviour that
// one command shows, and that with each cure every use has one mark and survives.
//
//	GODSCP_SSH_TABLE=/tmp/table go test -run 'TestOpenSSH$' -v ./examples/internal/sshtest
func TestOpenSSH(t *testing.T) {
	sshtest.Built(t, "proxycommand")
	if !testns.Inside(t) {
		return
	}
	dscptest.Require(t, dscptest.BoxIPv4)
	for _, tool := range []string{"scp", "sftp", "git"} {
		testns.Require(t, tool)
	}
	printed, err := exec.Command(sshtest.Program(t, "proxycommand"), "-print-config").Output()
	require.NoError(t, err)

	var text strings.Builder
	table := func(side dscptest.Side, settings []setting, uses []string) {
		b := observe(t, side)
		t.Logf("%v marks %s", side, b.name)
		text.WriteString(row(slices.Concat([]string{"program", "IPQoS"}, uses)))
		text.WriteString(row(slices.Repeat([]string{"---"}, 2+len(uses))))
		for _, set := range settings {
			cells := make([]string, len(uses))
			value, q := asked(t, side, set)
			t.Run(fmt.Sprintf("%v, %s", side, set.name), func(t *testing.T) {
				for i, use := range uses {
					t.Run(use, func(t *testing.T) {
						t.Parallel()
						cells[i] = compares(t, side, set, use, q, b)
					})
				}
			})
			text.WriteString(row(slices.Concat([]string{version(t, side), set.row(value)}, cells)))
		}
	}
	none := setting{name: "`none`", lines: "IPQoS none", cure: true}
	settings := []setting{{name: "its default"}, none}
	if os.Getenv(tableFile) != "" {
		settings = []setting{
			{name: "its default"},
			{name: "`af21 cs1`", lines: "IPQoS af21 cs1"},
			{name: "`16 8`", lines: "IPQoS 16 8"},
			{name: "`lowdelay throughput`", lines: "IPQoS lowdelay throughput"},
			none,
		}
	}
	table(dscptest.Client, append(settings, setting{name: "the printed configuration", lines: string(printed), cure: true}), uses)
	text.WriteString("\n")
	table(dscptest.Server, settings, []string{useTerminal, useExec, useSFTP, useJoin})

	if name := os.Getenv(tableFile); name != "" {
		require.NoError(t, os.WriteFile(name, []byte(text.String()), 0o644))
	}
	t.Log("\n" + text.String())
}

// asked returns the IPQoS that the program prints for a setting, as text and parsed.
func asked(t *testing.T, side dscptest.Side, set setting) (string, openssh.Marks) {
	t.Helper()
	var value string
	if side == dscptest.Server {
		printed := sshtest.Effective(t, set.lines)
		var ok bool
		value, ok = openssh.Value(printed)
		require.True(t, ok, "%s", printed)
	} else {
		file := filepath.Join(t.TempDir(), "config")
		require.NoError(t, os.WriteFile(file, []byte(set.lines+"\n"), 0o600))
		var err error
		value, err = openssh.Ask(t.Context(), sshtest.Tool(t, "ssh"), "-F", file, "-G", "host")
		require.NoError(t, err)
	}
	q, err := openssh.Parse(value)
	require.NoError(t, err)
	return value, q
}

// compares runs ssh with a setting, without a NAT and behind one, and returns the
// cell of the table.
func compares(t *testing.T, side dscptest.Side, set setting, use string, q openssh.Marks, b behaviour) string {
	at := atSite{inside: side, sshd: []string{"IPQoS none"}}
	client := set.lines
	if side == dscptest.Server {
		at.sshd, client = nil, "IPQoS none"
		if set.lines != "" {
			at.sshd = []string{set.lines}
		}
	}
	tries := func(models ...dscptest.Model) sighting {
		at.models = models
		s := newSite(t, at)
		s.adds("    " + client + "\n")
		return s.does(use)
	}
	direct := tries()
	require.True(t, direct.ok, direct.output)
	if strings.Contains(set.lines, "ProxyCommand") {
		want := dscp.OpenSSH78.Bulk
		if use == useTerminal || use == useJoin {
			want = dscp.OpenSSH78.Interactive
		}
		assert.Equal(t, []dscp.CodePoint{want}, direct.marks)
	} else {
		assert.Equal(t, b.marks(q, use), direct.marks, "%v marks %s", side, b.name)
	}
	if set.cure {
		assert.Len(t, direct.marks, 1, "a cure changes no mark")
	}

	behind := tries(dscptest.VMware)
	last := fatal(direct.marks)
	if last < 0 {
		assert.True(t, behind.ok, behind.output)
		assert.Equal(t, dscptest.Pass, behind.verdict)
		assert.Equal(t, direct.marks, behind.marks)
		return octets(direct.marks)
	}
	assert.False(t, behind.ok, behind.output)
	assert.Equal(t, dscptest.Reset, behind.verdict)
	if shown := len(behind.marks); assert.LessOrEqual(t, shown, len(direct.marks)) {
		assert.Equal(t, direct.marks[:shown], behind.marks, "the marks before the reset")
	}
	t.Log(behind.output)
	upTo := octets(direct.marks[:last+1])
	cell := upTo + "✗" + strings.TrimPrefix(octets(direct.marks), upTo)
	if !behind.loggedIn {
		cell += " (before login)"
	}
	return cell
}

// row returns a row of a table in Markdown.
func row(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

var versionPattern = regexp.MustCompile(`OpenSSH_([^\s,]+(?: Debian-[^\s,]+)?)`)

// version returns the name and version of the program for the table.
func version(t *testing.T, side dscptest.Side) string {
	t.Helper()
	program, name := sshtest.Tool(t, "ssh"), "ssh"
	if side == dscptest.Server {
		program, name = sshtest.Daemon(t), "sshd"
	}
	said, _ := exec.Command(program, "-V").CombinedOutput() // sshd has -V since 9.2; before, its usage has the version
	m := versionPattern.FindSubmatch(said)
	require.NotNil(t, m, "%s", said)
	name += " " + string(m[1])
	if suite := os.Getenv(tableName); suite != "" {
		name += " (" + suite + ")"
	}
	return name
}
