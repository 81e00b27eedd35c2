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

// The schemes, which name the protocol of a connection.
const (
	ssh2          = "ssh"
	plainHTTP     = "http"
	secureHTTP    = "https"
	quiet         = "wait"
	pathcheckPeer = "pathcheck"
)

// An exchange talks to the server on a connection. It calls midway once, after both
// sides have sent data and before both send more.
type exchange func(c net.Conn, to target, t *trial, midway func() error) error

var exchanges = map[string]exchange{
	ssh2: keyExchange, plainHTTP: headAndGet, secureHTTP: handshakeAndGet, quiet: wait, pathcheckPeer: ask,
}

// errNoMiddle is the error if the server ends an exchange before its second half.
var errNoMiddle = errors.New("the server closes the connection after one answer")

// keyExchange is the SSH handshake without a login: the versions before midway, the key
// exchange after it.
func keyExchange(c net.Conn, to target, _ *trial, midway func() error) error {
	m := &middled{Conn: c, midway: midway}
	var done atomic.Bool
	_, _, _, err := ssh.NewClientConn(m, to.host, &ssh.ClientConfig{
		User:          "pathcheck",
		ClientVersion: "SSH-2.0-pathcheck",
		HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error {
			done.Store(true) // do not check the key: only the path counts
			return errors.New("enough")
		},
	})
	if broken := m.close(); broken != nil { // package ssh may not return this error
		return broken
	}
	if done.Load() {
		return nil
	}
	return err
}

// A middled conn calls midway before the first Write after both sides have sent data.
// Package ssh reads and writes it from other goroutines.
type middled struct {
	net.Conn

	mu          sync.Mutex
	midway      func() error // nil after the call or after close
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

// close returns the error of midway. After it, midway does not run.
func (m *middled) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.midway = nil
	return m.err
}

// headAndGet makes two HTTP requests.
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

// handshakeAndGet makes a TLS handshake and one HTTPS request.
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
	// enough is the number of bytes of a body to read.
	enough = 64 << 10

	// tooMuch is the number of bytes to read at most: [http.ReadResponse] does not
	// limit headers.
	tooMuch = 1 << 20
)

// request makes one request. again reports whether the connection can be used again.
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

// patience is how long wait waits for the connection to end.
const patience = 300 * time.Millisecond

// wait sends nothing and checks that the connection stays open for patience.
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
