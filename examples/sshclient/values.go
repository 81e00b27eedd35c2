package main

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// A value parses the arguments of an option, and returns a function that sets them.
type value func(s *settings, set sshconfig.Setting) (take func(), err error)

// values are the supported options, by key.
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
	"challengeresponseauthentication": switchedOff(func(s *settings) *bool { return &s.noKeyboard }), // its name before 8.7
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

// one returns the only argument of an option, or an error.
func one(set sshconfig.Setting) (string, error) {
	if len(set.Words) != 1 || set.Words[0] == "" {
		return "", fmt.Errorf("%s: want one value, got %q", set.Key, set.Words)
	}
	return set.Words[0], nil
}

func text(field func(*settings) *string) value {
	return func(s *settings, set sshconfig.Setting) (func(), error) {
		v, err := one(set)
		return func() { *field(s) = v }, err
	}
}

// choice is a text that must be one of some words, in any case.
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

// switchedOff is a flag whose field is true if the option is no. The words of on mean
// yes, too.
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
			return nil, fmt.Errorf("%s: want a value", set.Key)
		case none && len(set.Words) > 1:
			return nil, fmt.Errorf("%s: none must be the only value", set.Key)
		case none:
			return func() { *field(s) = []string{} }, nil
		}
		return func() { *field(s) = set.Words }, nil
	}
}

// portValue accepts a number or the name of a service, as OpenSSH does.
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
		return nil, fmt.Errorf("numberofpasswordprompts: %q is not a number", v)
	}
	return func() { s.prompts = int(n) }, nil
}

func ipqosValue(s *settings, set sshconfig.Setting) (func(), error) {
	for _, word := range set.Words {
		if word == "" || strings.ContainsAny(word, blanks) { // a quoted list is one word, as in OpenSSH
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

// timeoutValue accepts seconds, or numbers with units from s (seconds) to w (weeks).
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
	bad := fmt.Errorf("%q is not a time", text)
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
