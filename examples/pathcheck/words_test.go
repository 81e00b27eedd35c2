package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]target{
		"example.com":               {host: "example.com", port: "22", scheme: ssh2},
		"example.com:443":           {host: "example.com", port: "443", scheme: secureHTTP},
		"example.com:80":            {host: "example.com", port: "80", scheme: plainHTTP},
		"example.com:5432":          {host: "example.com", port: "5432"},
		"2001:db8::1":               {host: "2001:db8::1", port: "22", scheme: ssh2},
		"[2001:db8::1]":             {host: "2001:db8::1", port: "22", scheme: ssh2},
		"[2001:db8::1]:80":          {host: "2001:db8::1", port: "80", scheme: plainHTTP},
		"http://[::1]:80":           {host: "::1", port: "80", scheme: plainHTTP},
		"http://[::1]":              {host: "::1", port: "80", scheme: plainHTTP},
		"[fe80::1%eth0]:22":         {host: "fe80::1%eth0", port: "22", scheme: ssh2},
		"fe80::1%eth0":              {host: "fe80::1%eth0", port: "22", scheme: ssh2},
		"https://[fe80::1%25eth0]/": {host: "fe80::1%eth0", port: "443", scheme: secureHTTP},
		"https://[fe80::1%eth0]":    {host: "fe80::1%eth0", port: "443", scheme: secureHTTP},
		"example.com:ssh":           {host: "example.com", port: "ssh"},
		"https://example.com":       {host: "example.com", port: "443", scheme: secureHTTP},
		"https://example.com/":      {host: "example.com", port: "443", scheme: secureHTTP},
		"http://example.com:22":     {host: "example.com", port: "22", scheme: plainHTTP},
		"ssh://example.com:2222":    {host: "example.com", port: "2222", scheme: ssh2},
		"wait://example.com:22":     {host: "example.com", port: "22", scheme: quiet},
		"pathcheck://example.com:7": {host: "example.com", port: "7", scheme: pathcheckPeer},
	} {
		want.text = text
		got, err := parseTarget(text, false)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
	for text, says := range map[string]string{
		"": "want host", ":22": "want host", "ftp://example.com": "unknown scheme", "wait://example.com": "want host",
		"https://example.com/path": "want host", "https://example.com:443/path": "want host", "host name": "want host",
		"user@host":                 "omit the user before the @",
		"127.0.0.1:99999":           "port 99999 is not within 1 to 65535",
		"[::1]:0":                   "port 0 is not within 1 to 65535",
		"host:":                     "want host",
		"[::1":                      "not an IPv6 address",
		"[::1]22":                   "want host",
		"[127.0.0.1]:22":            "not an IPv6 address",
		"a:b:c":                     "too many colons",
		"https://[fe80::1%25]:443/": "not an IPv6 address",
	} {
		_, err := parseTarget(text, false)
		assert.ErrorContains(t, err, says, text)
	}
	got, err := parseTarget("example.com:22", true)
	require.NoError(t, err)
	assert.Equal(t, pathcheckPeer, got.scheme)
}

func TestOptions(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-dscp", "df", "h"}, {"-dscp", "0x48", "h"}, {"-4", "-6", "h"}, {"-n", "0", "h"}, {"-timeout", "0", "h"},
		{"-parallel", "0", "h"}, {"-serve", ":0", "h"}, {"-serve", ":0", "-targets", "-"}, {"-targets", "/no/such/file"}, {"-targets", "-"},
		{"h:70000"}, {"-serve", ":0", "-peer"}, {"-no-such-flag"},
	} {
		var errs bytes.Buffer
		assert.Equal(t, exitUncertain, run(t.Context(), args, strings.NewReader("# no target\n"), io.Discard, &errs), "%q", args)
		assert.Equal(t, 1, strings.Count(errs.String(), "\n"), "%q: one line: %s", args, errs.String())
		assert.Contains(t, errs.String(), "pathcheck: ", "%q", args)
	}
	var errs bytes.Buffer
	assert.Equal(t, exitNoHarm, run(t.Context(), []string{"-h"}, nil, io.Discard, &errs))
	assert.Contains(t, errs.String(), "usage: pathcheck")

	o, err := parseOptions([]string{"-dscp", "ef", "-6", "h"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, dscp.EF, o.dscp)
	assert.True(t, o.wants(netip.MustParseAddr("::1")))
	assert.False(t, o.wants(netip.MustParseAddr("127.0.0.1")))
	assert.NotErrorIs(t, err, flag.ErrHelp)
}

func TestPlan(t *testing.T) {
	text := func(wanted dscp.CodePoint, scheme string) (all []string) {
		for _, p := range plan(wanted, scheme) {
			all = append(all, p.String())
		}
		return all
	}
	assert.Equal(t, []string{"AF21", "lowdelay", "throughput", "LE", "EF", "CS1", "DF→AF21", "AF21→CS1", "DF→lowdelay"}, text(dscp.AF21, ssh2))
	assert.Equal(t, []string{"CS1", "throughput", "lowdelay", "LE", "EF", "DF→CS1", "CS1→AF21", "DF→lowdelay"}, text(dscp.CS1, ssh2))
	assert.Equal(t, []string{"EF", "lowdelay", "throughput", "LE", "CS1"}, text(dscp.EF, quiet))
	assert.Contains(t, text(dscp.AF21, pathcheckPeer), "55")
}

func TestNames(t *testing.T) {
	for cp, want := range map[dscp.CodePoint][2]string{
		dscp.AF21: {"af21", "dscp.AF21"}, dscp.CS1: {"cs1", "dscp.CS1"}, dscp.EF: {"ef", "dscp.EF"},
		dscp.LowDelay: {"16", "dscp.LowDelay"}, dscp.Throughput: {"8", "dscp.Throughput"}, dscp.LE: {"4", "dscp.LE"},
		dscp.VoiceAdmit: {"176", "dscp.VoiceAdmit"}, dscp.NQB: {"180", "dscp.NQB"}, 55: {"220", "dscp.CodePoint(55)"},
	} {
		assert.Equal(t, want, [2]string{sshName(cp), goName(cp)})
	}
}

// TestSSHNameIsRead claims that dscp.ParseIPQoS reads each name back.
func TestSSHNameIsRead(t *testing.T) {
	for cp := range dscp.CodePoint(64) {
		if cp == dscp.DF {
			continue
		}
		q, err := dscp.ParseIPQoS(sshName(cp))
		require.NoError(t, err, sshName(cp))
		assert.Equal(t, dscp.IPQoS{Interactive: cp, Bulk: cp}, q)
	}
}

func TestByChance(t *testing.T) {
	count := func(failed, ok int) tally { return tally{ok: ok, fails: map[failure]int{{lost, connecting}: failed}} }
	assert.InDelta(t, 1.0/1330, byChance(count(3, 0), count(0, 18)), 1e-9, "one way in 21 over 3")
	assert.InDelta(t, 1, byChance(count(0, 3), count(0, 18)), 1e-9)
	assert.InDelta(t, 1, byChance(count(3, 0), count(18, 0)), 1e-9)
	assert.InDelta(t, 0.5, byChance(count(1, 0), count(0, 1)), 1e-9)
	assert.Equal(t, "1 in 1330", oneIn(1.0/1330))
	assert.Equal(t, "likely", oneIn(0.9))
}

func TestTicker(t *testing.T) {
	assert.Nil(t, newTicker(new(bytes.Buffer)))
	f, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer f.Close()
	assert.Nil(t, newTicker(f), "a file is not a terminal")
	var none *ticker
	none.show(target{}, trial{}, progress{}) // shows nothing
	none.clear()

	var screen bytes.Buffer
	k := &ticker{w: &screen}
	k.show(target{text: "host:22"}, trial{probe: constant(dscp.EF), outcome: lost}, progress{3, 40})
	assert.Equal(t, clearLine+"host:22  3 of 40  EF: no answer", screen.String())
}

// TestTargetsFromAList claims that -targets reads a file and standard input.
func TestTargetsFromAList(t *testing.T) {
	const list = "# hosts\n\nexample.com:443 # a comment\n  [2001:db8::1]:22\n"
	file := t.TempDir() + "/targets"
	require.NoError(t, os.WriteFile(file, []byte(list), 0o600))
	for _, from := range []string{file, "-"} {
		o, err := parseOptions([]string{"-targets", from, "first"}, io.Discard)
		require.NoError(t, err)
		targets, err := o.allTargets(strings.NewReader(list))
		require.NoError(t, err)
		var texts []string
		for _, where := range targets {
			texts = append(texts, where.text)
		}
		assert.Equal(t, []string{"first", "example.com:443", "[2001:db8::1]:22"}, texts)
	}
	o := options{from: "-"}
	_, err := o.allTargets(strings.NewReader("a\nb:70000\n"))
	assert.EqualError(t, err, `standard input: line 2: target "b:70000": port 70000 is not within 1 to 65535`)
}

// TestOtherVersion claims the errors for -4 and -6 with an address of the other version.
func TestOtherVersion(t *testing.T) {
	for _, tt := range [][3]string{
		{"-6", "127.0.0.1:22", "could not tell: 127.0.0.1 is not an IPv6 address"},
		{"-4", "[::1]:22", "could not tell: ::1 is not an IPv4 address"},
		{"-4", "localhost:no-such-service", "could not tell: no such port: "},
	} {
		var out bytes.Buffer
		assert.Equal(t, exitUncertain, run(t.Context(), tt[:2], nil, &out, io.Discard))
		assert.Contains(t, out.String(), tt[2])
	}
}

func TestAuthority(t *testing.T) {
	for text, want := range map[string]string{
		"http://example.com": "example.com", "http://example.com:8080": "example.com:8080", "https://[::1]:443": "[::1]", "http://[::1]:443": "[::1]:443",
	} {
		where, err := parseTarget(text, false)
		require.NoError(t, err)
		assert.Equal(t, want, where.authority())
	}
}

// TestLiteral claims that literal returns the expression from which the compiler made
// each Dialer in pasted.
func TestLiteral(t *testing.T) {
	for text, d := range pasted {
		assert.Equal(t, text, literal(d))
	}
	assert.Equal(t, "dscp.Dialer{DSCP: dscp.CodePoint(55)}", literal(dscp.Dialer{DSCP: 55}))
}

// TestFullDisk claims that an error of writing the report is an error of the program.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"ssh://no..such.host"}, {"-json", "ssh://no..such.host"}, {"-serve", "127.0.0.1:0"}} {
		var errs bytes.Buffer
		assert.Equal(t, exitUncertain, run(t.Context(), args, nil, full, &errs), "%q", args)
		assert.Contains(t, errs.String(), "no space left", "%q", args)
	}
}

// TestBrokenOutput claims that an error of writing the JSON is an error of the program.
func TestBrokenOutput(t *testing.T) {
	var errs bytes.Buffer
	code := run(context.Background(), []string{"-json", "ssh://no..such.host"}, nil, broken{}, &errs)
	assert.Equal(t, exitUncertain, code)
	assert.Contains(t, errs.String(), "out of paper")
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("out of paper") }
