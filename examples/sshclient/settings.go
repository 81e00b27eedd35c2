package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// settings are what the options and the configuration come to.
type settings struct {
	hostName     string // what to connect to
	alias        string // HostKeyAlias; empty means hostName and port
	port         string
	user         string
	identities   []string // private keys, those that were named first
	named        bool     // somebody named them: a missing one is worth a word
	onlyNamed    bool     // IdentitiesOnly: no other keys of the agent
	agent        string   // its socket; empty means none
	knownHosts   []string // of the user; the first is the one to add to
	globalHosts  []string // of the machine
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
	requestTTY   string   // as OpenSSH has it, empty for auto
	command      string   // RemoteCommand
	unknown      string   // IgnoreUnknown: not worth a word
	auth         []string // PreferredAuthentications; nil means the usual order
	noPublicKey  bool
	noPassword   bool
	noKeyboard   bool
	prompts      int      // NumberOfPasswordPrompts
	certificates []string // CertificateFile
	notes        []string // what is not acted on, worth a word
	quiet        []string // keys that are not acted on either, and are named with -v

	seen      map[string]bool // what a setting was taken of
	jumpHosts string          // as ProxyJump has it
	proxy     proxy
}

// A proxy is which of ProxyCommand and ProxyJump came first: it counts.
type proxy int

const (
	proxyUnset proxy = iota
	proxyCommanded
	proxyJumped
)

// loadSettings puts the command line and the configuration together: of each
// option the first value counts, and of IdentityFile all do.
func loadSettings(ctx context.Context, o options) (settings, error) {
	s, err := readSettings(ctx, o)
	if err != nil {
		return settings{}, err
	}
	return s, s.expand(o.host)
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
		return settings{}, err // before it gets into a command of Match exec
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
	return s, s.complete(o.host)
}

// configFiles are the files to read. One that is named has to exist, and may be
// anybody's.
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

// A value reads the arguments of an option, and returns a function that takes
// them.
type value func(s *settings, set sshconfig.Setting) (take func(), err error)

// values are the options that count, by their keys.
var values = map[string]value{
	"hostname":                        text(func(s *settings) *string { return &s.hostName }),
	"hostkeyalias":                    text(func(s *settings) *string { return &s.alias }),
	"user":                            text(func(s *settings) *string { return &s.user }),
	"identityagent":                   text(func(s *settings) *string { return &s.agent }),
	"bindaddress":                     text(func(s *settings) *string { return &s.bind }),
	"tag":                             text(func(*settings) *string { return new(string) }), // for Match tagged
	"port":                            portValue,
	"identityfile":                    identityValue,
	"userknownhostsfile":              files(func(s *settings) *[]string { return &s.knownHosts }),
	"globalknownhostsfile":            files(func(s *settings) *[]string { return &s.globalHosts }),
	"ipqos":                           ipqosValue,
	"proxyjump":                       proxyJumpValue,
	"proxycommand":                    proxyCommandValue,
	"certificatefile":                 certificateValue,
	"preferredauthentications":        preferenceValue,
	"numberofpasswordprompts":         promptsValue,
	"pubkeyauthentication":            switchedOff(func(s *settings) *bool { return &s.noPublicKey }, "unbound", "host-bound"),
	"passwordauthentication":          switchedOff(func(s *settings) *bool { return &s.noPassword }),
	"kbdinteractiveauthentication":    switchedOff(func(s *settings) *bool { return &s.noKeyboard }),
	"challengeresponseauthentication": switchedOff(func(s *settings) *bool { return &s.noKeyboard }), // as it was called before 8.7
	"proxyusefdpass":                  flagValue(func(s *settings) *bool { return &s.fdpass }),
	"identitiesonly":                  flagValue(func(s *settings) *bool { return &s.onlyNamed }),
	"batchmode":                       flagValue(func(s *settings) *bool { return &s.batch }),
	"hashknownhosts":                  flagValue(func(s *settings) *bool { return &s.hashHosts }),
	"stricthostkeychecking":           strictValue,
	"connecttimeout":                  timeoutValue,
	"addressfamily":                   familyValue,
	"requesttty":                      choice(func(s *settings) *string { return &s.requestTTY }, "no", "yes", "force", "auto"),
	"remotecommand":                   remoteCommandValue,
	"ignoreunknown":                   text(func(s *settings) *string { return &s.unknown }),
}

// additive are the options of which all lines count.
var additive = map[string]bool{"identityfile": true, "certificatefile": true}

// apply checks a setting, and takes it if it is active and the first of its kind.
func (s *settings) apply(set sshconfig.Setting, active bool) error {
	read, ok := values[set.Key]
	if !ok {
		switch {
		case !active, s.seen[set.Key], sshconfig.MatchList(strings.ToLower(s.unknown), set.Key):
		case worthAWord(set):
			s.notes = append(s.notes, fmt.Sprintf("%s: %s is not acted on", set.From, set.Key))
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

// one returns the one argument that an option has.
func one(set sshconfig.Setting) (string, error) {
	if len(set.Words) != 1 || set.Words[0] == "" {
		return "", fmt.Errorf("%s wants one value, not %q", set.Key, set.Words)
	}
	return set.Words[0], nil
}

func text(field func(*settings) *string) value {
	return func(s *settings, set sshconfig.Setting) (func(), error) {
		v, err := one(set)
		return func() { *field(s) = v }, err
	}
}

// choice is text that is one of some words, in any case.
func choice(field func(*settings) *string, words ...string) value {
	return func(s *settings, set sshconfig.Setting) (func(), error) {
		v, err := one(set)
		if v = strings.ToLower(v); err == nil && !slices.Contains(words, v) {
			err = fmt.Errorf("%s: %q is not one of %s", set.Key, v, strings.Join(words, ", "))
		}
		return func() { *field(s) = v }, err
	}
}

func flagValue(field func(*settings) *bool) value {
	return func(s *settings, set sshconfig.Setting) (func(), error) {
		v, err := one(set)
		if err != nil {
			return nil, err
		}
		switch strings.ToLower(v) {
		case "yes", "true":
			return func() { *field(s) = true }, nil
		case "no", "false":
			return func() { *field(s) = false }, nil
		}
		return nil, fmt.Errorf("%s: %q is neither yes nor no", set.Key, v)
	}
}

// switchedOff is a flag whose field tells that it is off. Other words than yes may
// say that it is on.
func switchedOff(field func(*settings) *bool, on ...string) value {
	return func(s *settings, set sshconfig.Setting) (func(), error) {
		v, err := one(set)
		if v = strings.ToLower(v); err == nil && slices.Contains(on, v) {
			return func() { *field(s) = false }, nil
		}
		var yes bool
		take, err := flagValue(func(*settings) *bool { return &yes })(s, set)
		return func() {
			take()
			*field(s) = !yes
		}, err
	}
}

func files(field func(*settings) *[]string) value {
	return func(s *settings, set sshconfig.Setting) (func(), error) {
		none := slices.ContainsFunc(set.Words, func(w string) bool { return strings.EqualFold(w, "none") })
		switch {
		case len(set.Words) == 0 || slices.Contains(set.Words, ""):
			return nil, fmt.Errorf("%s wants a value", set.Key)
		case none && len(set.Words) > 1:
			return nil, fmt.Errorf("%s: none stands alone", set.Key)
		case none:
			return func() { *field(s) = []string{} }, nil
		}
		return func() { *field(s) = set.Words }, nil
	}
}

// portValue takes a number or the name of a service, as OpenSSH does.
func portValue(s *settings, set sshconfig.Setting) (func(), error) {
	v, err := one(set)
	if err != nil {
		return nil, err
	}
	n, err := net.LookupPort("tcp", v)
	if err != nil || n == 0 || strings.ContainsAny(v, "+-") {
		return nil, fmt.Errorf("bad port %q", v)
	}
	return func() { s.port = strconv.Itoa(n) }, nil
}

func identityValue(s *settings, set sshconfig.Setting) (func(), error) {
	v, err := one(set)
	return func() {
		s.named = true
		if !slices.Contains(s.identities, v) {
			s.identities = append(s.identities, v)
		}
	}, err
}

func certificateValue(s *settings, set sshconfig.Setting) (func(), error) {
	v, err := one(set)
	return func() { s.certificates = append(s.certificates, v) }, err
}

func preferenceValue(s *settings, set sshconfig.Setting) (func(), error) {
	v, err := one(set)
	return func() { s.auth = strings.Split(v, ",") }, err
}

func promptsValue(s *settings, set sshconfig.Setting) (func(), error) {
	v, err := one(set)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("numberofpasswordprompts: %q is no number", v)
	}
	return func() { s.prompts = int(n) }, nil
}

func ipqosValue(s *settings, set sshconfig.Setting) (func(), error) {
	for _, word := range set.Words {
		if word == "" || strings.ContainsAny(word, blanks) { // quoted, so that it is one word to OpenSSH
			return nil, fmt.Errorf("IPQoS: bad value %q", word)
		}
	}
	q, err := dscp.ParseIPQoS(strings.Join(set.Words, " "))
	return func() { s.ipqos = q }, err
}

func proxyCommandValue(s *settings, set sshconfig.Setting) (func(), error) {
	return func() {
		if s.proxy == proxyUnset {
			s.proxy, s.proxyCommand = proxyCommanded, set.Text
		}
	}, nil
}

func proxyJumpValue(s *settings, set sshconfig.Setting) (func(), error) {
	text, _, _ := strings.Cut(set.Text, "#")
	text = strings.TrimSpace(text)
	jumps, err := parseJumps(text)
	return func() {
		if s.proxy == proxyUnset {
			s.proxy, s.jumps, s.jumpHosts = proxyJumped, jumps, text
		}
	}, err
}

func remoteCommandValue(s *settings, set sshconfig.Setting) (func(), error) {
	return func() {
		if !strings.EqualFold(set.Text, "none") {
			s.command = set.Text
		}
	}, nil
}

func familyValue(s *settings, set sshconfig.Setting) (func(), error) {
	v, err := one(set)
	if err != nil {
		return nil, err
	}
	network, ok := map[string]string{"any": "tcp", "inet": "tcp4", "inet6": "tcp6"}[strings.ToLower(v)]
	if !ok {
		return nil, fmt.Errorf("addressfamily: %q is not one of any, inet, inet6", v)
	}
	return func() { s.network = network }, nil
}

// timeoutValue takes seconds, or numbers with units from s to w.
func timeoutValue(s *settings, set sshconfig.Setting) (func(), error) {
	v, err := one(set)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(v, "none") {
		return func() {}, nil
	}
	d, err := parseTime(v)
	return func() { s.timeout = d }, err
}

func parseTime(text string) (time.Duration, error) {
	units := map[byte]time.Duration{
		's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
	}
	bad := fmt.Errorf("%q is no time", text)
	var sum time.Duration
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		if err != nil {
			return 0, bad
		}
		unit := time.Second
		if rest = rest[digits:]; rest != "" {
			var ok bool
			if unit, ok = units[rest[0]|0x20]; !ok {
				return 0, bad
			}
			rest = rest[1:]
		}
		sum += time.Duration(n) * unit
		if n > 0 && sum <= 0 || sum > 1<<31*time.Second {
			return 0, bad
		}
	}
	return sum, nil
}

const blanks = " \t\r\n"

// complete fills in what nobody has set, and expands file names and commands.
func (s *settings) complete(host string) error {
	name := host
	if s.hostName != "" {
		var err error
		if name, err = sshconfig.ExpandHost(s.hostName, host); err != nil {
			return err
		}
	}
	s.hostName = name
	if _, err := netip.ParseAddr(name); err != nil { // an address can have a zone, whose case counts
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
			return errors.New("who are you? no user was named, and the system knows none")
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

// checkHost refuses names that no host has. One with a colon is an IPv6 address.
func checkHost(name string) error {
	if _, err := netip.ParseAddr(name); err != nil && strings.Contains(name, ":") {
		return fmt.Errorf("bad host name %q", name)
	}
	return checkName(name)
}

// shellMeaning is what a shell may take for more than a name. A name comes into
// the commands of ProxyCommand and Match exec, and not always from the person who
// wrote those: git takes it from a submodule (CVE-2023-51385).
const shellMeaning = "'`\"$\\;&<>|(){}"

// checkName refuses names, of a host or of a place in the configuration, that could
// stand for more than a name in known_hosts, in a shell or on the terminal.
func checkName(name string) error {
	bad := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	if name == "" || strings.HasPrefix(name, "-") || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) || strings.ContainsAny(name, ",#*?!@"+shellMeaning) {
		return fmt.Errorf("bad host name %q", name)
	}
	return nil
}

// checkUser refuses likewise a user on the command line. In a file it is by who
// wrote the commands.
func checkUser(set sshconfig.Setting) error {
	if set.Key != "user" || len(set.Words) != 1 {
		return nil
	}
	// As OpenSSH since 9.6, which lets a backslash pass: Windows has it in names.
	if name := set.Words[0]; strings.HasPrefix(name, "-") || strings.ContainsAny(name, strings.ReplaceAll(shellMeaning, `\`, "")) {
		return fmt.Errorf("bad user name %q", name)
	}
	return nil
}

func sshDir() string { return filepath.Join(sshconfig.Home(), ".ssh") }
