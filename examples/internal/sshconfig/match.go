package sshconfig

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// match evaluates the criteria of a Match line. If it has a criterion that this
// package does not support, the block does not match, and the Reader notes it.
func (r *Reader) match(ctx context.Context, s Setting, reached bool) (bool, error) {
	words, result, seen := criteria(s.Words), true, 0
	for len(words) > 0 {
		name, negated := strings.CutPrefix(words[0], "!")
		words = words[1:]
		switch name = strings.ToLower(name); name {
		case "all":
			if seen > 1 || len(words) > 0 {
				return false, fmt.Errorf("%s: Match all cannot be combined with other criteria", s.From)
			}
			return result && !negated && reached, nil
		case "canonical", "final":
			seen++
			r.again = r.again || name == "final" && reached
			result = result && r.final != negated
			continue
		}
		seen++
		if len(words) == 0 {
			return false, fmt.Errorf("%s: Match %s has no value", s.From, name)
		}
		argument := words[0]
		words = words[1:]
		if name == "exec" && !(result && reached) {
			continue // as OpenSSH
		}
		matched, evaluated, err := r.criterion(ctx, name, argument)
		switch {
		case err != nil:
			return false, fmt.Errorf("%s: Match %s: %w", s.From, name, err)
		case !evaluated:
			if reached {
				r.note(s, "Match %s is not supported: the lines below it are ignored", name)
			}
			result = false
		default:
			result = result && matched != negated
		}
	}
	if seen == 0 {
		return false, fmt.Errorf("%s: Match has no criteria", s.From)
	}
	return result && reached, nil
}

// criteria splits each name=value, which means the same as name and value.
func criteria(words []string) []string {
	var all []string
	for i := 0; i < len(words); i++ {
		name, value, ok := strings.Cut(words[i], "=")
		plain := strings.ToLower(strings.TrimPrefix(name, "!"))
		switch {
		case ok && withArgument[plain]:
			all = append(all, name, value)
		case withArgument[plain] && i+1 < len(words):
			all = append(all, words[i], words[i+1])
			i++
		default:
			all = append(all, words[i])
		}
	}
	return all
}

var withArgument = map[string]bool{
	"host": true, "originalhost": true, "user": true, "localuser": true, "exec": true, "tagged": true,
	"command": true, "sessiontype": true, "localnetwork": true, "version": true,
}

// criterion evaluates one criterion that has an argument.
func (r *Reader) criterion(ctx context.Context, name, argument string) (matched, evaluated bool, err error) {
	switch name {
	case "host":
		return MatchHost(argument, r.target()), true, nil
	case "originalhost":
		return MatchHost(argument, r.Host), true, nil
	case "user":
		return MatchList(argument, r.value("user", LocalUser())), true, nil
	case "localuser":
		return MatchList(argument, LocalUser()), true, nil
	case "tagged":
		return MatchList(argument, r.value("tag", "")), true, nil
	case "command":
		return MatchList(argument, r.Command), true, nil
	case "sessiontype":
		return MatchList(argument, r.Session), true, nil
	case "localnetwork":
		matched, err = onNetwork(argument)
		return matched, true, err
	case "exec":
		command, err := r.tokens().Expand(argument)
		if err != nil {
			return false, true, err
		}
		return succeeds(ctx, command), true, nil
	}
	return false, false, nil
}

// succeeds reports whether a command succeeds in the user's shell. The command has
// no standard input, and its standard output is discarded.
func succeeds(ctx context.Context, command string) bool {
	cmd := exec.CommandContext(ctx, shell(), "-c", command)
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	return cmd.Run() == nil
}

func shell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "/bin/sh"
}

// onNetwork reports whether an interface has an address in one of the networks,
// a list with negations.
func onNetwork(list string) (bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	matched := false
	for text := range strings.SplitSeq(list, ",") {
		text, negated := strings.CutPrefix(text, "!")
		network, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return false, fmt.Errorf("%q is not an IP address or prefix", text)
			}
			network = netip.PrefixFrom(addr, addr.BitLen())
		}
		for _, a := range addrs {
			ipnet, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			if addr, ok := netip.AddrFromSlice(ipnet.IP); ok && network.Contains(addr.Unmap()) {
				if negated {
					return false, nil
				}
				matched = true
			}
		}
	}
	return matched, nil
}
