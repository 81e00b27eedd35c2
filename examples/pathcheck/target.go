package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A target is what the user asked for, and the one address of it that is
// checked: two addresses can have two paths.
type target struct {
	text   string // as given
	host   string
	port   string
	scheme string // how to talk to it; empty until it is known
	addr   netip.AddrPort
}

// schemes says how to talk to a port that says nothing of itself.
var schemes = map[string]string{
	"22": ssh2, "80": plainHTTP, "8000": plainHTTP, "8080": plainHTTP, "443": secureHTTP, "8443": secureHTTP,
}

// parseTarget reads [scheme://]host[:port].
func parseTarget(text string, peer bool) (target, error) {
	t := target{text: text}
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		t.scheme, rest = scheme, strings.TrimSuffix(after, "/")
		if _, ok := exchanges[scheme]; !ok {
			return t, fmt.Errorf("target %q: unknown scheme %q", text, scheme)
		}
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil { // no port, or one too many colons: a bare IPv6 address
		host, port = strings.Trim(rest, "[]"), defaultPorts[t.scheme]
	}
	if host == "" || port == "" || strings.ContainsAny(rest, "/ ") {
		return t, fmt.Errorf("target %q: want host, host:port or scheme://host:port", text)
	}
	t.host, t.port = host, port
	switch {
	case peer:
		t.scheme = pathcheckPeer
	case t.scheme == "":
		t.scheme = schemes[port]
	}
	return t, nil
}

var defaultPorts = map[string]string{"": "22", ssh2: "22", plainHTTP: "80", secureHTTP: "443"}

// resolve looks up the address.
func (t *target) resolve(ctx context.Context, network string) error {
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", t.port)
	if err != nil {
		return err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, t.host)
	if err != nil {
		return err
	}
	t.addr = netip.AddrPortFrom(addrs[0].Unmap(), uint16(port))
	return nil
}
