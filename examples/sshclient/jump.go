package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// A jump is one hop of ProxyJump.
type jump struct{ user, host, port string }

// parseJumps reads a list of [user@]host[:port] or ssh://[user@]host[:port], separated
// by commas. The word none is an empty list.
func parseJumps(text string) ([]jump, error) {
	if strings.EqualFold(text, "none") {
		return nil, nil
	}
	var all []jump
	for hop := range strings.SplitSeq(text, ",") {
		j, err := parseJump(hop)
		if err != nil {
			return nil, fmt.Errorf("invalid ProxyJump %q: %w", text, err)
		}
		all = append(all, j)
	}
	return all, nil
}

func parseJump(hop string) (jump, error) {
	if strings.HasPrefix(hop, "ssh://") {
		u, err := url.Parse(hop)
		if err != nil {
			return jump{}, err
		}
		if u.Path != "" && u.Path != "/" {
			return jump{}, fmt.Errorf("%q has a path", hop)
		}
		return jump{u.User.Username(), u.Hostname(), u.Port()}.check()
	}
	var j jump
	if at := strings.LastIndex(hop, "@"); at >= 0 {
		if j.user, hop = hop[:at], hop[at+1:]; j.user == "" {
			return jump{}, errors.New("no user before the @")
		}
	}
	if host, port, err := net.SplitHostPort(hop); err == nil {
		j.host, j.port = host, port
		if port == "" {
			return jump{}, errors.New("no port after the colon")
		}
	} else {
		j.host = strings.Trim(hop, "[]")
	}
	return j.check()
}

func (j jump) check() (jump, error) {
	if err := checkHost(j.host); err != nil {
		return jump{}, err
	}
	if j.port != "" {
		if _, err := net.LookupPort("tcp", j.port); err != nil {
			return jump{}, fmt.Errorf("bad port %q", j.port)
		}
	}
	return j, nil
}

// options returns the options of the session with the hop: like ssh -J, the file of -F
// but no other option of the command line, except -v and -nat-safe.
func (j jump) options(o options, before []jump) options {
	hop := options{config: o.config, verbose: o.verbose, natSafe: o.natSafe, host: j.host, through: o.through + 1}
	preset := func(key, word string) {
		if word != "" {
			hop.settings = append(hop.settings, sshconfig.Setting{Key: key, Words: []string{word}, Text: word, From: "ProxyJump"})
		}
	}
	preset("user", j.user)
	preset("port", j.port)
	var list []string
	for _, b := range before {
		list = append(list, b.String())
	}
	preset("proxyjump", strings.Join(list, ","))
	return hop
}

func (j jump) String() string {
	s := j.host
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	if j.user != "" {
		s = j.user + "@" + s
	}
	if j.port != "" {
		s += ":" + j.port
	}
	return s
}
