package main

import (
	"bytes"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/class"
)

func TestOptions(t *testing.T) {
	tests := []struct {
		args string
		want options
		mark dscp.CodePoint
	}{
		{"host 22", options{ipqos: dscp.OpenSSH78, class: class.Interactive, host: "host", port: "22"}, dscp.AF21},
		{"-class bulk ::1 2222", options{ipqos: dscp.OpenSSH78, class: class.Bulk, host: "::1", port: "2222"}, dscp.CS1},
		{"-ipqos ef -nat-safe -fdpass h ssh", options{
			ipqos: dscp.IPQoS{Interactive: dscp.EF, Bulk: dscp.EF}, class: class.Interactive,
			natSafe: true, fdpass: true, host: "h", port: "ssh",
		}, dscp.EF},
		{"-fallback lowdelay host 22", options{
			ipqos: dscp.OpenSSH78, class: class.Interactive, fallback: markList{dscp.LowDelay}, host: "host", port: "22",
		}, dscp.AF21},
		{"-print-config", options{ipqos: dscp.OpenSSH78, class: class.Interactive, printConfig: true}, dscp.AF21},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stderr bytes.Buffer
			o, err := parseOptions(strings.Fields(tt.args), &stderr)
			assert.NoError(t, err)
			assert.Equal(t, tt.want, o)
			assert.Equal(t, tt.mark, o.mark())
			assert.Empty(t, stderr.String())
		})
	}
}

func TestMarkList(t *testing.T) {
	var l markList
	assert.NoError(t, l.UnmarshalText([]byte(" af21 lowdelay  none ")))
	assert.Equal(t, markList{dscp.AF21, dscp.LowDelay, dscp.DF}, l)
	text, err := l.MarshalText()
	assert.NoError(t, err)
	assert.Equal(t, "af21 16 cs0", string(text))
	assert.Error(t, l.UnmarshalText([]byte("af21 bogus")))
	assert.Len(t, l, 3, "an error keeps the value")
}

func TestUsageErrors(t *testing.T) {
	for args, says := range map[string]string{
		"":                        "want 2 arguments, got 0",
		"host":                    "want 2 arguments, got 1",
		"host 22 more":            "want 2 arguments, got 3",
		"-print-config host 22":   "want 0 arguments, got 2",
		"-class middling host 22": "want interactive or bulk",
		"-ipqos 020 host 22":      "since 9.8 reads 20",
		"-fallback 18 host 22":    "ECN",
		"-bogus host 22":          "-bogus",
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), strings.Fields(args), nil, &stdout, &stderr), args)
		assert.Contains(t, stderr.String(), says, args)
		assert.Equal(t, 2, strings.Count(stderr.String(), "\n"), "one line and a hint: %s", stderr.String())
		assert.Contains(t, stderr.String(), "proxycommand -h", args)
		assert.Empty(t, stdout.String())
	}
	var stderr bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-h"}, nil, nil, &stderr))
	assert.Contains(t, stderr.String(), "usage: proxycommand")
}

func TestWillRemark(t *testing.T) {
	for ipqos, want := range map[string]bool{
		"":              false, // unknown
		"none none":     false,
		"none":          false,
		"af21 af21":     false, // the mark of the connection
		"0x48 none":     false,
		"af21 cs1":      true,
		"none cs1":      true,
		"cs0 cs0":       true, // sets 0
		"0x49 none":     true,
		"lowdelay none": true,
	} {
		assert.Equal(t, want, willRemark(ipqos, dscp.AF21), ipqos)
	}
}

// TestConfigQuotesTheHost claims that a hostile host name, which ssh before 9.6
// accepts, reaches the program as its host argument and runs no command.
func TestConfigQuotesTheHost(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no /bin/sh")
	}
	var printed, stderr bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-print-config"}, nil, &printed, &stderr), stderr.String())
	commands := 0
	for line := range strings.Lines(printed.String()) {
		_, command, ok := strings.Cut(strings.TrimSpace(line), "ProxyCommand ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		commands++
		_, arguments, ok := strings.Cut(command, " ")
		assert.True(t, ok)
		for _, host := range []string{"a`echo b`;echo c;$(echo d) e", "-nat-safe", "-print-config"} {
			command := strings.NewReplacer("%h", host, "%p", "22", "%%", "%").Replace("printf '%s\n' " + arguments)
			out, err := exec.Command("/bin/sh", "-c", command).Output()
			assert.NoError(t, err)
			o, err := parseOptions(strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"), &stderr)
			assert.NoError(t, err)
			assert.Equal(t, host, o.host)
			assert.Equal(t, "22", o.port)
			assert.False(t, o.natSafe || o.printConfig, "the host is no option")
		}
	}
	assert.Equal(t, 2, commands)
}

func TestInConfig(t *testing.T) {
	for file, want := range map[string]string{
		"/usr/local/bin/proxycommand": "/usr/local/bin/proxycommand",
		"/opt/a b/proxycommand":       "'/opt/a b/proxycommand'",
		"/opt/100%/proxycommand":      "/opt/100%%/proxycommand",
		"/opt/o'c/p":                  `'/opt/o'\''c/p'`,
		"/opt/$HOME/p":                "'/opt/$HOME/p'",
	} {
		got, err := inConfig(file)
		assert.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := inConfig("/tmp/a\nMatch all\n    ProxyCommand evil")
	assert.ErrorContains(t, err, "cannot hold")
}

// FuzzPrintConfig claims that the shell reads each quoted file name back as one word,
// and that each list of marks is read back and is safe between double quotes.
func FuzzPrintConfig(f *testing.F) {
	for _, file := range []string{"/usr/bin/p", "/opt/a b/p", "/100%/%h", "o'c", "''", `\'$(x)`, "", "a\nb", "\xff", " p "} {
		f.Add(file, "16 cs0")
	}
	f.Add("/p", "af21 'x' 0x48")
	f.Add("/p", "LE nqb\tva none")
	f.Fuzz(func(t *testing.T, file, fallback string) {
		quoted, err := inConfig(file)
		if err == nil && file != "" {
			// ssh expands only %%, and the shell reads one word from the result.
			assert.NotContains(t, strings.ReplaceAll(quoted, "%%", ""), "%")
			assert.Equal(t, file, shellWord(t, strings.ReplaceAll(quoted, "%%", "%")))
			assert.Equal(t, strings.TrimSpace(quoted), quoted, "ssh_config trims space")
		}
		var l markList
		if l.UnmarshalText([]byte(fallback)) != nil {
			assert.Nil(t, l)
			return
		}
		text, err := l.MarshalText()
		assert.NoError(t, err)
		assert.Empty(t, strings.Trim(string(text), "abcdefghijklmnopqrstuvwxyz0123456789 "), "harmless between double quotes")
		var back markList
		assert.NoError(t, back.UnmarshalText(text))
		assert.Equal(t, l, back)
	})
}

// shellWord returns the one word that a POSIX shell reads from s.
func shellWord(t *testing.T, s string) string {
	var word strings.Builder
	for quoted := false; s != ""; {
		switch c := s[0]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
			word.WriteByte(c)
		case c == '\\' && len(s) > 1:
			word.WriteByte(s[1])
			s = s[1:]
		default:
			assert.NotContains(t, " \t\n|&;<>()$`\"*?[#~!{}\\", string(c), "special to the shell")
			word.WriteByte(c)
		}
		s = s[1:]
		if s == "" {
			assert.False(t, quoted, "a quote is open")
		}
	}
	return word.String()
}
