package main

import (
	"fmt"
	"strings"
)

// An edit replaces text that must occur a known number of times, so that a release
// of Go with other text is an error and does not run unpatched.
type edit struct {
	old   string
	times int
	new   string
}

func apply(text string, edits []edit) (string, error) {
	for _, e := range edits {
		if n := strings.Count(text, e.old); n != e.times {
			return "", fmt.Errorf("%q occurs %d times, not %d: this Go needs other edits", e.old, n, e.times)
		}
		text = strings.ReplaceAll(text, e.old, e.new)
	}
	return text, nil
}

// enter makes the function with this first line call net.Suite.
func enter(line, call string) edit {
	return edit{line + " {\n", 1, line + ` {
	if ctx, ok := enterSuite(ctx); ok {
		return Suite.` + call + `
	}
`}
}

// edits has the changes to Go's src. Except for dial.go they are in tests that
// assert net's own types, whose methods the conns of package dscp have.
var edits = map[string][]edit{
	"net/dial.go": {
		enter("func (d *Dialer) DialContext(ctx context.Context, network, address string) (Conn, error)",
			"DialContext(ctx, d, network, address)"),
		enter("func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (Listener, error)",
			"Listen(ctx, lc, network, address)"),
		enter("func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (PacketConn, error)",
			"ListenPacket(ctx, lc, network, address)"),
	},
	"net/error_test.go": {
		{".(*TCPConn)", 2, ".(SuiteTCPConn)"},
		{".(*TCPListener)", 2, ".(SuiteTCPListener)"},
	},
	"net/file_test.go": {
		{".(*TCPConn)", 1, ".(SuiteTCPConn)"},
		{"case *TCPConn:", 1, "case SuiteTCPConn:"},
		{"case *TCPListener:", 1, "case SuiteTCPListener:"},
		{"case *UDPConn:", 2, "case SuiteUDPConn:"},
	},
	"net/listen_test.go": {
		{".(*TCPListener).fd", 3, ".(SuiteTCPListener).suiteFD()"},
		{".(*UDPConn).fd", 3, ".(SuiteUDPConn).suiteFD()"},
		{".(*TCPListener).port()", 2, ".(interface{ port() string }).port()"},
		{".(*UDPConn).port()", 2, ".(interface{ port() string }).port()"},
	},
	"net/mockserver_test.go": {{"case *TCPListener:", 1, "case SuiteTCPListener:"}},
	"net/net_test.go": {
		{"*TCPConn", 11, "SuiteTCPConn"}, // in type switches, too
		{".(*UDPConn)", 1, ".(SuiteUDPConn)"},
	},
	"net/rawconn_test.go": {
		{".(*TCPConn)", 3, ".(SuiteTCPConn)"},
		{".(*TCPListener)", 2, ".(SuiteTCPListener)"},
	},
	"net/sendfile_test.go":                   {{".(*TCPConn).fd.pfd", 1, ".(SuiteTCPConn).suiteFD().pfd"}},
	"net/splice_linux_test.go":               {{".(*TCPConn).fd", 2, ".(SuiteTCPConn).suiteFD()"}},
	"net/tcpconn_keepalive_test.go":          {{".(*TCPConn)", 4, ".(SuiteTCPConn)"}},
	"net/timeout_test.go":                    {{".(*TCPListener)", 5, ".(SuiteTCPListener)"}},
	"net/udpsock_test.go":                    {{".(*UDPConn)", 12, ".(SuiteUDPConn)"}},
	"net/write_unix_test.go":                 {{"s *TCPConn)", 2, "s SuiteTCPConn)"}, {"ss.conn.fd", 2, "ss.suiteFD()"}},
	"net/writev_test.go":                     {{"(c *TCPConn)", 2, "(c SuiteTCPConn)"}},
	"net/http/fs_test.go":                    {{".(*net.TCPListener)", 1, ".(net.SuiteTCPListener)"}},
	"net/http/serve_test.go":                 {{".(*net.TCPConn)", 6, ".(net.SuiteTCPConn)"}},
	"net/http/httputil/reverseproxy_test.go": {{"*net.TCPConn", 12, "net.SuiteTCPConn"}},
	"net/rpc/server_test.go":                 {{".(*net.TCPConn)", 1, ".(net.SuiteTCPConn)"}},
	"net/http/transport_test.go": {
		{".(*net.TCPConn)", 1, ".(net.SuiteTCPConn)"},
		{"\t*net.TCPConn\n", 1, "\tnet.SuiteTCPConn\n"},
		{"tConn.TCPConn =", 1, "tConn.SuiteTCPConn ="},
		{"c.TCPConn.", 1, "c.SuiteTCPConn."},
	},
}
