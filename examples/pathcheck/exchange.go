package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// The schemes: what there is to say on a connection.
const (
	ssh2          = "ssh"
	plainHTTP     = "http"
	secureHTTP    = "https"
	quiet         = "wait"
	pathcheckPeer = "pathcheck"
)

// An exchange talks on a connection, and calls midway once, when bytes have gone
// both ways and more are to follow.
type exchange func(c net.Conn, to target, t *trial, midway func() error) error

var exchanges = map[string]exchange{
	ssh2: keyExchange, plainHTTP: headAndGet, secureHTTP: handshakeAndGet, quiet: wait, pathcheckPeer: ask,
}

// errNoMiddle says that the far end ended an exchange before its second half.
var errNoMiddle = errors.New("the server closes the connection after one answer")

// keyExchange is SSH up to where a login would begin. The versions go both ways
// before midway, the keys after it.
func keyExchange(c net.Conn, to target, _ *trial, midway func() error) error {
	m := &middled{Conn: c, midway: midway}
	var done atomic.Bool
	_, _, _, err := ssh.NewClientConn(m, to.host, &ssh.ClientConfig{
		User:          "pathcheck",
		ClientVersion: "SSH-2.0-pathcheck",
		HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error {
			done.Store(true) // whoever that is: only the path counts
			return errors.New("enough")
		},
	})
	if broken := m.close(); broken != nil { // the ssh package does not always keep it
		return broken
	}
	if done.Load() {
		return nil
	}
	return err
}

// A middled conn calls midway before the first Write after bytes have gone both
// ways. The ssh package reads and writes it from goroutines of its own.
type middled struct {
	net.Conn

	mu          sync.Mutex
	midway      func() error // nil when it was called, or must not be any more
	read, wrote bool
	err         error // of midway
}

func (m *middled) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read = m.read || n > 0
	return n, err
}

func (m *middled) Write(b []byte) (int, error) {
	if err := m.maybeMidway(); err != nil {
		return 0, err
	}
	return m.Conn.Write(b)
}

func (m *middled) maybeMidway() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read && m.wrote && m.midway != nil {
		m.err = m.midway()
		m.midway = nil
	}
	m.wrote = true
	return m.err
}

// close ends it: midway is not running then, and will not be called any more.
func (m *middled) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.midway = nil
	return m.err
}

// headAndGet makes two requests of HTTP.
func headAndGet(c net.Conn, to target, _ *trial, midway func() error) error {
	answers := bufio.NewReader(io.LimitReader(c, tooMuch))
	again, err := request(c, answers, http.MethodHead, to)
	if err != nil {
		return err
	}
	if !again {
		return errNoMiddle
	}
	if err := midway(); err != nil {
		return err
	}
	_, err = request(c, answers, http.MethodGet, to)
	return err
}

// handshakeAndGet is HTTPS; the handshake is its first half.
func handshakeAndGet(c net.Conn, to target, _ *trial, midway func() error) error {
	s := tls.Client(c, &tls.Config{ServerName: to.host, InsecureSkipVerify: true}) //nolint:gosec // only the path counts
	if err := s.Handshake(); err != nil {
		return err
	}
	if err := midway(); err != nil {
		return err
	}
	_, err := request(s, bufio.NewReader(io.LimitReader(s, tooMuch)), http.MethodGet, to)
	return err
}

const (
	// enough is how much of an answer's body is read: a path that lets that
	// through lets the rest through as well.
	enough = 64 << 10

	// tooMuch is where reading ends for good: net/http takes headers of any size.
	tooMuch = 1 << 20
)

// request makes one request. again tells whether the connection takes another.
func request(c net.Conn, answers *bufio.Reader, method string, to target) (again bool, err error) {
	req := &http.Request{
		Method: method,
		URL:    &url.URL{Scheme: to.scheme, Host: to.authority(), Path: "/"},
		Header: http.Header{"User-Agent": {"pathcheck"}},
	}
	if err := req.Write(c); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(answers, req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	_, err = io.CopyN(io.Discard, resp.Body, enough)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	return !resp.Close, nil
}

// patience is how long wait listens to a connection.
const patience = 300 * time.Millisecond

// wait says nothing and looks whether the connection stays.
func wait(c net.Conn, _ target, _ *trial, _ func() error) error {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 512))
	if isTimeout(err) {
		return nil
	}
	return err
}
