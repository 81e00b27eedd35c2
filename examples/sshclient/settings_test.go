package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// homeWithConfig makes a home directory whose ~/.ssh has the files of testdata.
func homeWithConfig(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, ".ssh"), os.DirFS("testdata")))
	t.Setenv("HOME", dir)
	return dir
}

func load(t *testing.T, args ...string) (settings, error) {
	t.Helper()
	var stderr bytes.Buffer
	o, err := parseOptions(args, &stderr)
	require.NoError(t, err, stderr.String())
	return loadSettings(o)
}

func TestSettings(t *testing.T) {
	dir := homeWithConfig(t)
	in := func(name string) string { return filepath.Join(dir, ".ssh", name) }
	defaults := func(change func(*settings)) settings {
		s := settings{
			hostName:   "somewhere",
			port:       "22",
			user:       "everybody",
			identities: []string{in("id_ed25519"), in("id_ecdsa"), in("id_rsa")},
			knownHosts: []string{in("known_hosts"), in("known_hosts2")},
			ipqos:      dscp.OpenSSH78,
		}
		change(&s)
		return s
	}
	for name, tt := range map[string]struct {
		args []string
		want settings
	}{
		"defaults": {[]string{"somewhere"}, defaults(func(*settings) {})},
		"pattern": {[]string{"web1.example.com"}, defaults(func(s *settings) {
			s.hostName, s.port = "web1.example.com.internal", "2222"
			s.ipqos = dscp.IPQoS{Interactive: dscp.AF41, Bulk: dscp.AF11}
		})},
		"negated pattern": {[]string{"web9.example.com"}, defaults(func(s *settings) { s.hostName = "web9.example.com" })},
		"quoted values": {[]string{"quoted"}, defaults(func(s *settings) {
			s.hostName, s.user, s.named = "quoted", "a user", true
			s.identities = []string{in("with space"), in("second")}
			s.knownHosts = []string{"/etc/a b", "/etc/c"}
			s.ipqos = dscp.IPQoS{Interactive: dscp.AF31, Bulk: dscp.AF12}
		})},
		"the first wins": {[]string{"twice"}, defaults(func(s *settings) {
			s.hostName, s.port = "twice", "1"
			s.ipqos = dscp.IPQoS{Interactive: dscp.EF, Bulk: dscp.EF}
		})},
		"Include": {[]string{"included"}, defaults(func(s *settings) {
			s.hostName, s.port = "included", "7"
			s.ipqos = dscp.IPQoS{Interactive: dscp.AF22, Bulk: dscp.AF13}
		})},
		"the command line wins": {
			[]string{"-p", "99", "-i", "/key", "-o", "IPQoS=ef none", "-o", "UserKnownHostsFile /known", "-o", "ipqos=cs1", "me@twice"},
			defaults(func(s *settings) {
				s.hostName, s.port, s.user, s.named = "twice", "99", "me", true
				s.identities, s.knownHosts = []string{"/key"}, []string{"/known"}
				s.ipqos = dscp.IPQoS{Interactive: dscp.EF}
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := load(t, tt.args...)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestSettingsErrors(t *testing.T) {
	dir := homeWithConfig(t)
	in := func(name string) string { return filepath.Join(dir, ".ssh", name) }
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"bad value":           {[]string{"badvalue"}, in("config") + ` line 27: dscp: IPQoS: not a code point: "cs99"`},
		"leading zero":        {[]string{"badoctal"}, in("config") + ` line 30: dscp: IPQoS: not a code point: "020" has a leading zero: it is 16`},
		"two words in one":    {[]string{"oneword"}, in("config") + ` line 33: IPQoS: bad value "af21 cs1"`},
		"second is bad":       {[]string{"badsecond"}, in("config") + ` line 37: dscp: IPQoS: not a code point: "bogus"`},
		"in an Include":       {[]string{"badincluded"}, in("badincluded") + ` line 3: dscp: IPQoS: not a code point: "nonsense"`},
		"port":                {[]string{"badport"}, in("config") + " line 43: bad port"},
		"quote":               {[]string{"badquote"}, in("config") + " line 46: a double quote is missing"},
		"a dash":              {[]string{"--", "-oh"}, `bad host name "-oh"`},
		"a line of its own":   {[]string{"::1%\nevil ssh-ed25519 AAAA"}, "bad host name"},
		"a pattern":           {[]string{"-o", "HostName=*", "host"}, `bad host name "*"`},
		"missing file":        {[]string{"-F", "/no/such/file", "host"}, "open /no/such/file"},
		"on the command line": {[]string{"-o", "IPQoS=af99", "host"}, `command line: dscp: IPQoS: not a code point: "af99"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tt.args...)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

func TestIncludesEnd(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	file := filepath.Join(dir, "loop")
	require.NoError(t, os.WriteFile(file, []byte("Include "+file+"\n"), 0o600))
	_, err := load(t, "-F", file, "host")
	assert.ErrorContains(t, err, file)
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "which host?"},
		{[]string{"user@"}, "which host?"},
		{[]string{"-o", "ProxyCommand=x", "host"}, `option "ProxyCommand" is not one of HostName`},
		{[]string{"-o", "IPQoS", "host"}, "has no value"},
		{[]string{"-s", "host"}, "-s wants"},
		{[]string{"-bogus", "host"}, "-bogus"},
	} {
		var stderr bytes.Buffer
		assert.Equal(t, statusError, run(t.Context(), tt.args, nil, nil, &stderr), tt.args)
		assert.Contains(t, stderr.String(), tt.says)
		assert.Contains(t, stderr.String(), "usage: sshclient")
	}
}

// TestAliasWithAColon has a place in the configuration whose name no host has.
func TestAliasWithAColon(t *testing.T) {
	s := settings{hostName: "git.example.com"}
	require.NoError(t, s.complete("work:git"))
	require.ErrorContains(t, new(settings).complete("work:git"), `bad host name "work:git"`)
}
