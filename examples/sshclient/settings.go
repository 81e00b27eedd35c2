package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// settings are the result of the command line and the configuration.
type settings struct {
	hostName     string // the host to connect to
	alias        string // HostKeyAlias; empty means hostName and port
	port         string
	user         string
	identities   []string // private key files, in order
	named        bool     // identities are not the defaults: warn about a missing one
	onlyNamed    bool     // IdentitiesOnly: no other keys of the agent
	agent        string   // its socket; empty means none
	knownHosts   []string // UserKnownHostsFile; new keys go to the first
	globalHosts  []string // GlobalKnownHostsFile
	hashHosts    bool     // HashKnownHosts
	strict       strictness
	ipqos        dscp.IPQoS
	jumps        []jump // ProxyJump, the first hop first
	proxyCommand string // expanded; empty means none
	fdpass       bool   // ProxyUseFdpass
	batch        bool   // BatchMode: ask nothing
	timeout      time.Duration
	network      string   // tcp, tcp4 or tcp6
	bind         string   // BindAddress
	requestTTY   string   // RequestTTY; empty for auto
	command      string   // RemoteCommand
	unknown      string   // IgnoreUnknown: no warning about these
	auth         []string // PreferredAuthentications; nil means the usual order
	noPublicKey  bool
	noPassword   bool
	noKeyboard   bool
	prompts      int      // NumberOfPasswordPrompts
	certificates []string // CertificateFile
	notes        []string // warnings about unsupported options
	quiet        []string // keys of unsupported options that only -v prints

	seen      map[string]bool // keys that have a value
	jumpHosts string          // the text of ProxyJump
	proxy     proxy
}

// A proxy tells which of ProxyCommand and ProxyJump came first. The other is ignored.
type proxy int

const (
	proxyUnset proxy = iota
	proxyCommanded
	proxyJumped
)

// loadSettings reads the command line and the configuration. The first value of each
// option counts; for IdentityFile and CertificateFile all do.
func loadSettings(ctx context.Context, o options) (settings, error) {
	s, err := readSettings(ctx, o)
	if err != nil {
		return settings{}, err
	}
	err = s.expand(o.host) // must run before return copies s
	return s, err
}

// readSettings is loadSettings without the expansion of tokens, variables and
// home directories.
func readSettings(ctx context.Context, o options) (settings, error) {
	s := settings{ipqos: dscp.OpenSSH78, network: "tcp", strict: strictAsk, prompts: 3, seen: make(map[string]bool)}
	r := &sshconfig.Reader{
		Host: o.host, Session: o.session(), Command: strings.Join(o.command, " "),
		Set: s.apply,
		Note: func(text string) {
			if !slices.Contains(s.notes, text) {
				s.notes = append(s.notes, text)
			}
		},
	}
	if err := checkName(o.host); err != nil {
		return settings{}, err // before a command of Match exec uses the name
	}
	for _, set := range o.settings {
		if err := checkUser(set); err != nil {
			return settings{}, err
		}
		if err := r.Preset(set); err != nil {
			return settings{}, err
		}
	}
	if err := r.Read(ctx, configFiles(o.config)...); err != nil {
		return settings{}, err
	}
	err := s.complete(o.host) // must run before return copies s
	return s, err
}

// configFiles returns the files to read. The file of -F must exist and may belong to
// any user.
func configFiles(named string) []sshconfig.File {
	switch named {
	case "none":
		return nil
	case "":
		return []sshconfig.File{
			{Name: filepath.Join(sshDir(), "config"), Private: true, Optional: true},
			{Name: "/etc/ssh/ssh_config", System: true, Optional: true},
		}
	}
	return []sshconfig.File{{Name: named}}
}

// additive are the options for which all lines count.
var additive = map[string]bool{"identityfile": true, "certificatefile": true}

// apply checks a setting, and uses it if it is active and the first of its key.
func (s *settings) apply(set sshconfig.Setting, active bool) error {
	read, ok := values[set.Key]
	if !ok {
		switch {
		case !active, s.seen[set.Key], sshconfig.MatchList(strings.ToLower(s.unknown), set.Key):
		case needsWarning(set):
			s.notes = append(s.notes, fmt.Sprintf("%s: %s is not supported", set.From, set.Key))
		default:
			s.quiet = append(s.quiet, set.Key)
		}
		s.seen[set.Key] = s.seen[set.Key] || active
		return nil
	}
	take, err := read(s, set)
	if err != nil {
		return err
	}
	if active && (!s.seen[set.Key] || additive[set.Key]) {
		s.seen[set.Key] = true
		take()
	}
	return nil
}

// complete sets the defaults, and checks the host name.
func (s *settings) complete(host string) error {
	name := host
	if s.hostName != "" {
		var err error
		if name, err = sshconfig.ExpandHost(s.hostName, host); err != nil {
			return err
		}
	}
	s.hostName = name
	if _, err := netip.ParseAddr(name); err != nil { // not for an address: the case of its zone matters
		s.hostName = strings.ToLower(name)
	}
	if err := checkHost(s.hostName); err != nil {
		return err
	}
	if s.alias != "" {
		if err := checkName(s.alias); err != nil {
			return err
		}
	}
	if s.port == "" {
		s.port = "22"
	}
	if s.user == "" {
		if s.user = sshconfig.LocalUser(); s.user == "" {
			return errors.New("no user name: the system has none for this user; try -l")
		}
	}
	if !s.seen["identityfile"] {
		s.identities = []string{"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519"}
	}
	if !s.seen["userknownhostsfile"] {
		s.knownHosts = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
	if !s.seen["globalknownhostsfile"] {
		s.globalHosts = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	return nil
}

// expand replaces tokens, environment variables and home directories.
func (s *settings) expand(host string) error {
	t := sshconfig.Tokens{Host: s.hostName, Original: host, Port: s.port, User: s.user, KeyAlias: host, JumpHosts: s.jumpHosts}
	if s.alias != "" {
		t.KeyAlias = s.alias
	}
	var errs []error
	expand := func(text string) string {
		v, err := t.Expand(text)
		errs = append(errs, err)
		return v
	}
	file := func(name string) string {
		v, err := sshconfig.ExpandEnv(expand(sshconfig.ExpandHome(name)))
		errs = append(errs, err)
		return v
	}
	none := func(f string) bool { return strings.EqualFold(f, "none") }
	s.identities = slices.DeleteFunc(slices.Clone(s.identities), none)
	s.certificates = slices.DeleteFunc(slices.Clone(s.certificates), none)
	for _, names := range []*[]string{&s.identities, &s.certificates, &s.knownHosts, &s.globalHosts} {
		*names = slices.Clone(*names)
		for i, name := range *names {
			(*names)[i] = file(name)
		}
	}
	s.agent = agentSocket(s.agent, file)
	if strings.EqualFold(s.proxyCommand, "none") {
		s.proxyCommand = ""
	}
	s.proxyCommand, s.command = expand(s.proxyCommand), expand(s.command)
	return errors.Join(errs...)
}

func sshDir() string { return filepath.Join(sshconfig.Home(), ".ssh") }
