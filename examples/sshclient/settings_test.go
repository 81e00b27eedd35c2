package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// withConfig makes a home directory with a ~/.ssh/config, and returns ~/.ssh.
func withConfig(t *testing.T, config string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), ".ssh")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	t.Setenv("HOME", filepath.Dir(dir))
	return dir
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func load(t *testing.T, args ...string) (settings, error) {
	t.Helper()
	o, err := parseOptions(args, nil)
	require.NoError(t, err)
	return loadSettings(t.Context(), o)
}

// TestSettings checks settings that ssh -G does not print. TestCorpus checks the rest.
func TestSettings(t *testing.T) {
	dir := withConfig(t, "Host web\n  Include more\n  UserKnownHostsFile %d/%n-%p ~/second\n  IdentityFile ${HOME}/%r\nIPQoS ef none\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "more"), []byte("Port 7\nUser me\nHostName %h.example.com\n"), 0o600))
	home := filepath.Dir(dir)
	s, err := load(t, "-F", dir+"/config", "web")
	require.NoError(t, err)
	assert.Equal(t, "web.example.com", s.hostName)
	assert.Equal(t, "7", s.port)
	assert.Equal(t, []string{home + "/web-7", home + "/second"}, s.knownHosts)
	assert.Equal(t, []string{home + "/me"}, s.identities)
	assert.Equal(t, dscp.IPQoS{Interactive: dscp.EF}, s.ipqos)
	assert.True(t, s.named)

	s, err = load(t, "-F", "none", "-o", "ConnectTimeout=1m30", "-o", "ProxyCommand=relay %h %p '%n'", "-p", "99", "somewhere")
	require.NoError(t, err)
	assert.Equal(t, dscp.OpenSSH78, s.ipqos)
	assert.Equal(t, 90*time.Second, s.timeout)
	assert.Equal(t, "relay somewhere 99 'somewhere'", s.proxyCommand)
	assert.Equal(t, []string{dir + "/known_hosts", dir + "/known_hosts2"}, s.knownHosts)
	assert.Equal(t, []string{dir + "/id_rsa", dir + "/id_ecdsa", dir + "/id_ed25519"}, s.identities)
	assert.False(t, s.named)
}

func TestSettingsErrors(t *testing.T) {
	for config, says := range map[string]string{
		"Port 22\nIPQoS af21 cs99":            `config line 2: dscp: invalid IPQoS value "cs99"`,
		"IPQoS 020":                           `config line 1: dscp: invalid IPQoS value "020": leading zero; OpenSSH up to 9.7 reads 16`,
		"IPQoS \"af21 cs1\"":                  `config line 1: IPQoS: bad value "af21 cs1"`,
		"IPQoS af21\nIPQoS bogus":             `config line 2: dscp: invalid IPQoS value "bogus"`,
		"Host other\nPort 70000":              "config line 2: bad port",
		"User \"open":                         "config line 1: User: a quote is not closed",
		"Include bad":                         `bad line 3: dscp: invalid IPQoS value "nonsense"`,
		"Include loop":                        "loop: too many levels of Include",
		"Match all host x":                    "config line 1: Match all cannot be combined",
		"IdentityFile ${GODSCP_NO_SUCH_NAME}": "GODSCP_NO_SUCH_NAME is not set",
		"IdentityFile %y":                     "unknown token %y",
		"HostName *":                          `bad host name "*"`,
		"HostKeyAlias a,b":                    `bad host name "a,b"`,
		"ProxyJump a@b@c@:1":                  "invalid ProxyJump",
	} {
		dir := withConfig(t, config+"\n")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bad"), []byte("\n\nIPQoS nonsense\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "loop"), []byte("Include loop\n"), 0o600))
		_, err := load(t, "host")
		assert.ErrorContains(t, err, says, config)
	}
	for says, args := range map[string][]string{
		`bad host name "-oh"`: {"-F", "none", "--", "-oh"},
		"bad host name":       {"-F", "none", "::1%\nevil ssh-ed25519 AAAA"},
		"open /no/such/file":  {"-F", "/no/such/file", "host"},
		`command line: dscp: invalid IPQoS value "af99"`: {"-F", "none", "-o", "IPQoS=af99", "host"},
	} {
		_, err := load(t, args...)
		assert.ErrorContains(t, err, says)
	}
}

// TestConfigThatOthersCanWrite claims that the client, as ssh, rejects a ~/.ssh/config
// that other users can write, but accepts it with -F.
func TestConfigThatOthersCanWrite(t *testing.T) {
	dir := withConfig(t, "Port 7\n")
	file := filepath.Join(dir, "config")
	require.NoError(t, os.Chmod(file, 0o666))
	_, err := load(t, "host")
	require.ErrorContains(t, err, file+": bad owner or permissions")
	s, err := load(t, "-F", file, "host")
	require.NoError(t, err)
	assert.Equal(t, "7", s.port)
}

// TestWarnsAboutUnsupportedOptions claims that the client warns once about each
// unsupported option, except the harmless ones.
func TestWarnsAboutUnsupportedOptions(t *testing.T) {
	dir := withConfig(t, `
IgnoreUnknown Wanted*
LocalForward 8080 localhost:80
LocalForward 8081 localhost:81
ServerAliveInterval 60
ControlMaster auto
UseTelepathy yes
WantedUnknown yes
CanonicalizeHostname no
Match weather rain
    Tunnel yes
Host other
    BindInterface eth9
`)
	file := filepath.Join(dir, "config")
	s, err := load(t, "-F", file, "host")
	require.NoError(t, err)
	assert.Equal(t, []string{
		file + " line 3: localforward is not supported",
		file + " line 7: usetelepathy is not supported",
		file + " line 10: Match weather is not supported: the lines below it are ignored",
	}, s.notes)
	assert.Equal(t, []string{"serveraliveinterval", "controlmaster", "canonicalizehostname"}, s.quiet)
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "no host"},
		{[]string{"user@"}, "no host"},
		{[]string{"-o", "IPQoS", "host"}, "has no value"},
		{[]string{"-o", "# nothing", "host"}, "no option"},
		{[]string{"-s", "host"}, "-s: want"},
		{[]string{"-bogus", "host"}, "-bogus"},
	} {
		var stderr bytes.Buffer
		assert.Equal(t, statusError, run(t.Context(), tt.args, nil, nil, &stderr), tt.args)
		assert.Contains(t, stderr.String(), tt.says)
		assert.Equal(t, 1, bytes.Count(stderr.Bytes(), []byte("\n")), "one line: %s", stderr.String())
	}
	var stderr bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"-h"}, nil, nil, &stderr))
	assert.Contains(t, stderr.String(), "usage: sshclient")
}

// TestAliasWithAColon claims that a Host block can have a name with a colon if it sets a
// HostName.
func TestAliasWithAColon(t *testing.T) {
	s := settings{hostName: "git.example.com"}
	require.NoError(t, s.complete("work:git"))
	require.ErrorContains(t, new(settings).complete("work:git"), `bad host name "work:git"`)
}

// TestRejectsNamesWithShellSyntax claims that host and user names with shell commands are
// rejected before Match exec or ProxyCommand uses them.
func TestRejectsNamesWithShellSyntax(t *testing.T) {
	made := filepath.Join(t.TempDir(), "made")
	config := writeFile(t, "config", "Match exec \"true %n %r\"\nProxyCommand true %h %r\n")
	for _, args := range [][]string{{"`>" + made + "`"}, {"a;>" + made}, {"$(>" + made + ")@host"}, {"-l", "a|>" + made, "host"}, {"-o", "User=a&>" + made, "host"}} {
		var stderr bytes.Buffer
		assert.Equal(t, statusError, run(t.Context(), append([]string{"-F", config}, args...), nil, nil, &stderr))
		assert.Regexp(t, "bad (host|user) name", stderr.String())
		assert.NoFileExists(t, made)
	}
	s, err := load(t, "-F", "none", "-l", `DOMAIN\me`, "host")
	require.NoError(t, err)
	assert.Equal(t, `DOMAIN\me`, s.user)
}

func TestParseJumps(t *testing.T) {
	for text, want := range map[string][]jump{
		"none":                           nil,
		"bastion":                        {{host: "bastion"}},
		"me@bastion:2222,second":         {{"me", "bastion", "2222"}, {host: "second"}},
		"[::1]:22,::1,ssh://a@[::1]:22/": {{host: "::1", port: "22"}, {host: "::1"}, {"a", "::1", "22"}},
		"a@b@c":                          {{"a@b", "c", ""}},
	} {
		got, err := parseJumps(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "a,", "me@", "@host", "host:", "host:99999", "ssh://host/path", "a b"} {
		_, err := parseJumps(text)
		assert.Error(t, err, text)
	}
	o := jump{"me", "::1", "22"}.options(options{config: "file", command: []string{"true"}}, []jump{{host: "first"}, {"a", "b", "1"}})
	assert.Equal(t, "::1", o.host)
	assert.Equal(t, "file", o.config)
	assert.Empty(t, o.command)
	assert.Equal(t, []sshconfig.Setting{
		{Key: "user", Words: []string{"me"}, Text: "me", From: "ProxyJump"},
		{Key: "port", Words: []string{"22"}, Text: "22", From: "ProxyJump"},
		{Key: "proxyjump", Words: []string{"first,a@b:1"}, Text: "first,a@b:1", From: "ProxyJump"},
	}, o.settings)
}
