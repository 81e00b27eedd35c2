package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/godscp/godscp/dscp"
)

// orders are escape sequences of a terminal.
const orders = "\x1b]0;title\a\x1b[2J\u009b31m"

// requirePlain fails if text has a character that is not printable.
func requirePlain(t *testing.T, text string) {
	t.Helper()
	for i, r := range text {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%U at %d of %q", r, i, text)
	}
}

// TestHostileServers claims that escape sequences of a server do not reach the terminal.
func TestHostileServers(t *testing.T) {
	for scheme, handle := range map[string]func(net.Conn){
		plainHTTP: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\n"+orders+"\r\n\r\n") },
		ssh2: func(c net.Conn) {
			io.WriteString(c, "SSH-2.0-"+orders+"\r\n")
			goodbye := ssh.Marshal(struct {
				Number          byte
				Reason          uint32
				Message, Tongue string
			}{1, 11, orders, ""})
			padding := 8 + 8 - (5+len(goodbye))%8
			length := 1 + len(goodbye) + padding
			packet := append([]byte{0, 0, byte(length >> 8), byte(length), byte(padding)}, goodbye...)
			c.Write(append(packet, make([]byte, padding)...))
			io.Copy(io.Discard, c)
		},
		pathcheckPeer: func(c net.Conn) { io.WriteString(c, orders+"\n") },
	} {
		t.Run(scheme, func(t *testing.T) {
			addr := listen(t, "127.0.0.1:0", handle)
			code, stdout := pathcheck(t, forever, "-n", "1", scheme+"://"+addr)
			assert.Equal(t, exitUncertain, code)
			requirePlain(t, stdout)
			assert.Contains(t, stdout, `\x1b]0;title`, "the sequence is printed, quoted")
		})
	}
}

// TestServeLimitsClients claims that pathcheck -serve serves mostClients at a time and
// closes further connections.
func TestServeLimitsClients(t *testing.T) {
	addr := peerServer(t, "127.0.0.1:0")
	asks := func() error {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		return askOnce(c, bufio.NewReader(c), new(trial))
	}
	for range mostClients {
		require.NoError(t, asks())
	}
	require.Error(t, asks(), "one too many")
}

// A script is a conn that reads a fixed text, and discards writes.
type script struct {
	net.Conn
	says io.Reader
	read int
}

func (s *script) Read(b []byte) (int, error) {
	n, err := s.says.Read(b)
	s.read += n
	return n, err
}

func (s *script) Write(b []byte) (int, error)     { return len(b), nil }
func (s *script) SetReadDeadline(time.Time) error { return nil }

// endless is a reader of a header that does not end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func TestEndlessAnswers(t *testing.T) {
	for _, scheme := range []string{plainHTTP, pathcheckPeer, quiet} {
		far := &script{says: io.LimitReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nX: "), endless{}), 64<<20)}
		err := exchanges[scheme](far, target{host: "host", port: "1", scheme: scheme}, new(trial), func() error { return nil })
		assert.LessOrEqual(t, far.read, 2<<20, "%s: %v", scheme, err)
	}
}

// FuzzAnswers claims that for any answer of a server each exchange ends and the report is
// plain text.
func FuzzAnswers(f *testing.F) {
	for _, seed := range [][2]string{
		{"example.com", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		{"[::1]:80", "HTTP/1.1 200 OK\r\n" + orders + "\r\n\r\n"},
		{"http://example.com:22", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"},
		{"wait://a:1", `{"syn":"AF21","latest":"EF"}` + "\n" + `{"syn":"DF"}` + "\n"},
		{"2001:db8::1", `{"syn":"64"}` + "\n"},
		{orders, orders + "\n"},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, text string, answer []byte) {
		where, err := parseTarget(text, false)
		if err == nil {
			require.False(t, where.host == "" || where.port == "")
			again, err := parseTarget(net.JoinHostPort(where.host, where.port), false)
			require.NoError(t, err)
			require.Equal(t, where.host, again.host)
			require.Equal(t, where.port, again.port)
		}
		for _, scheme := range []string{plainHTTP, pathcheckPeer, quiet} {
			far := &script{says: bytes.NewReader(answer)}
			where := target{text: "host", host: "host", port: "1", scheme: scheme} // the report does not quote the user's text
			tr := trial{probe: control, stage: before}
			tr.err = exchanges[scheme](far, where, &tr, func() error { return nil })
			if tr.outcome = fine; tr.err != nil {
				tr.outcome = exchangeOutcome(tr.err)
			}
			marked := tr
			marked.probe = constant(dscp.AF21)
			for _, trials := range [][]trial{{tr}, {{probe: control, outcome: fine}, marked, marked, marked}} {
				var report bytes.Buffer
				require.NoError(t, printReport(&report, where, diagnose(trials, dscp.AF21, scheme)))
				requirePlain(t, report.String())
			}
		}
	})
}
