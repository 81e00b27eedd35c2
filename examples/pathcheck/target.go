package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A target is a target of the user, and the one of its addresses that is checked: paths
// to two addresses may differ.
type target struct {
	text   string // as the user gave it
	host   string // without brackets; an IPv6 address may have a zone
	port   string // a number or the name of a service
	scheme string // empty until it is known
	addr   netip.AddrPort
}

// schemes has the schemes of ports.
var schemes = map[string]string{
	"22": ssh2, "80": plainHTTP, "8000": plainHTTP, "8080": plainHTTP, "443": secureHTTP, "8443": secureHTTP,
}

var defaultPorts = map[string]string{"": "22", ssh2: "22", plainHTTP: "80", secureHTTP: "443"}

// parseTarget reads [scheme://]host[:port].
func parseTarget(text string, peer bool) (target, error) {
	t := target{text: text}
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		t.scheme, rest = scheme, strings.TrimSuffix(after, "/")
		if _, ok := exchanges[scheme]; !ok {
			return t, fmt.Errorf("target %q: unknown scheme %q", text, scheme)
		}
		// A zone within a URL has its percent sign escaped (RFC 6874, section 2).
		if at := strings.Index(rest, "%25"); at >= 0 && strings.HasPrefix(rest, "[") {
			rest = rest[:at] + "%" + rest[at+len("%25"):]
		}
	}
	err := t.split(rest)
	if err == nil {
		err = checkPort(t.port)
	}
	if err != nil {
		return t, fmt.Errorf("target %q: %w", text, err)
	}
	switch {
	case peer:
		t.scheme = pathcheckPeer
	case t.scheme == "":
		t.scheme = schemes[t.port]
	}
	return t, nil
}

var errForm = errors.New("want host, host:port or scheme://host:port")

// split reads host[:port].
func (t *target) split(text string) error {
	t.port = defaultPorts[t.scheme]
	switch inside, after, bracketed := cutBrackets(text); {
	case strings.ContainsAny(text, "/ \t"):
		return errForm
	case strings.Contains(text, "@"):
		return errors.New("pathcheck does not log in: omit the user before the @")
	case bracketed:
		t.host = inside
		if !isIPv6(inside) {
			return fmt.Errorf("%q in brackets is not an IPv6 address", inside)
		}
		if after != "" {
			port, ok := strings.CutPrefix(after, ":")
			if !ok {
				return errForm
			}
			t.port = port
		}
	case strings.Count(text, ":") > 1:
		t.host = text
		if !isIPv6(text) {
			return fmt.Errorf("%q has too many colons for host:port, and is not an IPv6 address", text)
		}
	default:
		host, port, hasPort := strings.Cut(text, ":")
		if t.host = host; hasPort {
			t.port = port
		}
	}
	if t.host == "" || t.port == "" || strings.ContainsAny(t.host, "[]") {
		return errForm
	}
	return nil
}

// cutBrackets cuts [inside]after.
func cutBrackets(text string) (inside, after string, ok bool) {
	rest, ok := strings.CutPrefix(text, "[")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "]")
}

func isIPv6(text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && a.Is6()
}

// checkPort returns an error for a number that is not a port. A name is looked up later.
func checkPort(port string) error {
	if strings.Trim(port, "0123456789") != "" {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %s is not within 1 to 65535", port)
	}
	return nil
}

// readTargets reads one target per line. A # begins a comment.
func readTargets(r io.Reader, peer bool) ([]target, error) {
	var all []target
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		t, err := parseTarget(text, peer)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		all = append(all, t)
	}
	return all, lines.Err()
}

// resolve looks up the address. The report prints the error.
func (t *target) resolve(ctx context.Context, o *options) error {
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", t.port)
	if err != nil {
		return fmt.Errorf("no such port: %w", err)
	}
	if a, err := netip.ParseAddr(t.host); err == nil {
		a = a.Unmap()
		if !o.wants(a) {
			return fmt.Errorf("%v is not an %s address", a, o.version())
		}
		t.addr = netip.AddrPortFrom(a, uint16(port))
		return nil
	}
	// LookupNetIP would lose the zones.
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, t.host)
	if err != nil {
		return fmt.Errorf("the name does not resolve: %w", err)
	}
	for _, ip := range addrs {
		if a, ok := netip.AddrFromSlice(ip.IP); ok && o.wants(a.Unmap()) {
			t.addr = netip.AddrPortFrom(a.Unmap().WithZone(ip.Zone), uint16(port))
			return nil
		}
	}
	return fmt.Errorf("%s has no %s address", t.host, o.version())
}

// authority returns the host of HTTP requests, with the port unless it is the default.
func (t *target) authority() string {
	host := t.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.port == defaultPorts[t.scheme] {
		return host
	}
	return host + ":" + t.port
}
