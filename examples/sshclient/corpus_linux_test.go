package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshconfig"
	"github.com/godscp/godscp/internal/testns"
)

// judges is an environment variable with the file names of further ssh programs to
// compare with, separated as in PATH.
const judges = "GODSCP_SSH"

// A corpusCase is one configuration of testdata/corpus.txt.
type corpusCase struct {
	name    string
	args    []string
	differs map[string]string // the reason for a known difference, by the age of the ssh
	config  string
}

// readCorpus returns the cases, and writes the files that they include into dir.
func readCorpus(t *testing.T, dir string) []corpusCase {
	t.Helper()
	text, err := os.ReadFile("testdata/corpus.txt")
	require.NoError(t, err)
	place := strings.NewReplacer("$DIR", dir, "$CR", "\r")
	var cases []corpusCase
	for section := range strings.SplitSeq("\n"+string(text), "\n=== ") {
		name, rest, _ := strings.Cut(section, "\n")
		if name == "files" {
			for file := range strings.SplitSeq("\n"+rest, "\n--- ") {
				if name, text, ok := strings.Cut(file, "\n"); ok && name != "" {
					require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
				}
			}
			continue
		}
		head, config, ok := strings.Cut(rest, "---\n")
		if !ok {
			continue // the text before the first case
		}
		c := corpusCase{name: name, differs: map[string]string{}, config: place.Replace(config)}
		for line := range strings.Lines(place.Replace(head)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "args":
				c.args, err = sshconfig.Split(value)
				require.NoError(t, err)
			case "differs":
				age, why, _ := strings.Cut(value, " ")
				require.Contains(t, []string{"old", "new", "all"}, age)
				c.differs[age] = why
			default:
				t.Fatalf("%s: %q", name, line)
			}
		}
		cases = append(cases, c)
	}
	return cases
}

// An sshJudge is an installed ssh, whose -G prints how it reads a configuration.
type sshJudge struct{ file, version, age string }

func sshJudges(t *testing.T) []sshJudge {
	t.Helper()
	testns.Require(t, "ssh")
	var all []sshJudge
	for _, file := range append([]string{"ssh"}, filepath.SplitList(os.Getenv(judges))...) {
		version, err := exec.Command(file, "-V").CombinedOutput()
		require.NoError(t, err, file)
		j := sshJudge{file, strings.TrimSpace(string(version)), "old"}
		if exec.Command(file, "-G", "-F", "none", "-o", "IPQoS='ef' # x", "host").Run() != nil {
			t.Logf("%s is not compared: it has the rules for quotes and comments of OpenSSH before 8.7", j.version)
			continue
		}
		if exec.Command(file, "-G", "-F", "none", "-o", "IPQoS=0x10", "host").Run() != nil {
			j.age = "new"
		}
		all = append(all, j)
	}
	return all
}

// says returns the options that ssh -G prints, by key, the standard error, and whether
// ssh succeeded.
func (j sshJudge) says(t *testing.T, config string, args []string) (map[string][]string, string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), j.file, append([]string{"-G", "-F", config}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh")
	err := cmd.Run()
	all := make(map[string][]string)
	for line := range strings.Lines(stdout.String()) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[key] = append(all[key], value)
	}
	return all, stderr.String(), err == nil
}

// inSSHsWords returns the settings as ssh -G prints them, with some names expanded.
func inSSHsWords(t *testing.T, s settings, o options, me string) map[string][]string {
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	strict := map[strictness]string{strictAsk: "ask", strictYes: "true", strictNew: "accept-new", strictOff: "false"}
	expanded := s
	require.NoError(t, expanded.expand(o.host))
	all := map[string][]string{
		"hostname": {s.hostName}, "port": {s.port}, "user": {s.user}, "ipqos": {s.ipqos.String()},
		"identityfile": s.identities, "userknownhostsfile": {strings.Join(expanded.knownHosts, " ")},
		"globalknownhostsfile": {strings.Join(expanded.globalHosts, " ")}, "hostkeyalias": {s.alias},
		"stricthostkeychecking": {strict[s.strict]}, "batchmode": {yes(s.batch)}, "identitiesonly": {yes(s.onlyNamed)},
		"proxyusefdpass": {yes(s.fdpass)}, "hashknownhosts": {yes(s.hashHosts)}, "requesttty": {s.requestTTY},
		"remotecommand": {s.command}, "bindaddress": {s.bind}, "identityagent": {expanded.agent},
		"preferredauthentications": {strings.Join(s.auth, ",")}, "numberofpasswordprompts": {fmt.Sprint(s.prompts)},
		"passwordauthentication": {yes(!s.noPassword)}, "kbdinteractiveauthentication": {yes(!s.noKeyboard)},
		"certificatefile": s.certificates,
		"connecttimeout":  {fmt.Sprint(int(s.timeout.Seconds()))},
		"addressfamily":   {map[string]string{"tcp": "any", "tcp4": "inet", "tcp6": "inet6"}[s.network]},
	}
	for _, key := range []string{"userknownhostsfile", "globalknownhostsfile"} {
		if all[key][0] == "" {
			all[key][0] = "none"
		}
	}
	for key := range all {
		if key == "kbdinteractiveauthentication" && s.seen["challengeresponseauthentication"] {
			continue
		}
		if key != "hostname" && key != "user" && !s.seen[key] {
			delete(all, key)
		}
	}
	if s.proxy == proxyJumped && len(s.jumps) > 0 {
		var hops []string
		for _, j := range s.jumps {
			hops = append(hops, j.String())
		}
		all["proxyjump"] = []string{strings.Join(hops, ",")}
	}
	if s.proxy == proxyCommanded && s.proxyCommand != "none" {
		all["proxycommand"] = []string{s.proxyCommand}
	}
	if s.user == me {
		delete(all, "user")
	}
	return all
}

// compared are the keys that TestCorpus compares.
var compared = []string{
	"hostname", "port", "user", "ipqos", "identityfile", "userknownhostsfile", "globalknownhostsfile", "hostkeyalias",
	"stricthostkeychecking", "batchmode", "identitiesonly", "proxyusefdpass", "hashknownhosts", "requesttty", "remotecommand",
	"preferredauthentications", "numberofpasswordprompts", "passwordauthentication", "kbdinteractiveauthentication", "certificatefile",
	"bindaddress", "identityagent", "connecttimeout", "addressfamily", "proxyjump", "proxycommand",
}

// TestCorpus claims that the client reads the configurations of the corpus as ssh does,
// except for the differences that the corpus names.
func TestCorpus(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SHELL", "/bin/sh")
	who, err := user.Current()
	require.NoError(t, err)
	t.Setenv("HOME", who.HomeDir) // ssh takes it from the passwd file
	cases := readCorpus(t, dir)
	require.GreaterOrEqual(t, len(cases), 60)
	for _, judge := range sshJudges(t) {
		t.Run(judge.version, func(t *testing.T) {
			none, _, ok := judge.says(t, "none", []string{"somewhere"})
			require.True(t, ok)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					config := filepath.Join(t.TempDir(), "config")
					require.NoError(t, os.WriteFile(config, []byte(c.config), 0o600))
					var differences []string
					differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }

					theirs, complaint, ok := judge.says(t, config, c.args)
					o, err := parseOptions(append([]string{"-F", config}, c.args...), nil)
					require.NoError(t, err)
					ours, err := readSettings(t.Context(), o)
					switch {
					case ok && err != nil:
						differ("ssh accepts it, sshclient fails: %v", err)
					case !ok && err == nil:
						differ("sshclient accepts it, ssh fails: %s", complaint)
					case ok:
						said := inSSHsWords(t, ours, o, none["user"][0])
						for _, key := range compared {
							want, got := theirs[key], said[key]
							if got == nil {
								got = none[key]
							}
							if !sameValue(key, want, got) {
								differ("%s: ssh has %q, sshclient %q", key, want, got)
							}
						}
					}
					why, expected := c.differs[judge.age]
					if !expected {
						why, expected = c.differs["all"]
					}
					if expected {
						assert.NotEmpty(t, differences, "the corpus names a difference, and there is none: %s", why)
						return
					}
					assert.Empty(t, differences, "%s", c.config)
				})
			}
		})
	}
}

// sameValue compares two values of an option, those of IPQoS by their marks.
func sameValue(key string, theirs, ours []string) bool {
	marks := func(values []string) string {
		q, err := dscp.ParseIPQoS(strings.Join(values, " "))
		if err != nil {
			return err.Error()
		}
		return q.String()
	}
	if key == "ipqos" {
		return marks(theirs) == marks(ours)
	}
	return slices.Equal(theirs, ours)
}
