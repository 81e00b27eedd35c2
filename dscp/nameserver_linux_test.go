package dscp_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// serveNames returns a resolver whose name server knows one name, many.example, with the
// addresses, and delays every answer by takes.
func serveNames(t *testing.T, takes time.Duration, addresses ...string) *net.Resolver {
	t.Helper()
	return serveNamesIn(t, func(int) time.Duration { return takes }, addresses...)
}

// serveNamesIn is serveNames with a delay for the n-th answer, from 0. A lookup makes two
// queries, for IPv4 and IPv6.
func serveNamesIn(t *testing.T, takes func(n int) time.Duration, addresses ...string) *net.Resolver {
	t.Helper()
	server, resolver := openNames(t, takes, addresses...)
	t.Cleanup(func() { server.Close() })
	return resolver
}

// openNames is serveNamesIn for a caller that closes the server itself.
func openNames(t *testing.T, takes func(n int) time.Duration, addresses ...string) (io.Closer, *net.Resolver) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		buf := make([]byte, 1500)
		for i := 0; ; i++ {
			n, client, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply, err := answer(buf[:n], addresses); err == nil {
				time.AfterFunc(takes(i), func() { _, _ = server.WriteTo(reply, client) })
			}
		}
	}()
	return server, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// answer returns the reply to a query.
func answer(query []byte, addresses []string) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: head.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	if q.Name.String() != "many.example." {
		reply.RCode = dnsmessage.RCodeNameError
		return reply.Pack()
	}
	for _, s := range addresses {
		ip := netip.MustParseAddr(s)
		rr := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}}
		switch {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			rr.Body = &dnsmessage.AResource{A: ip.As4()}
		case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
			rr.Body = &dnsmessage.AAAAResource{AAAA: ip.As16()}
		default:
			continue
		}
		reply.Answers = append(reply.Answers, rr)
	}
	return reply.Pack()
}
