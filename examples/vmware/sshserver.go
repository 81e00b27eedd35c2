package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

const verse = "one flow, one mark, from the first packet to the last\n"

// flood is the server's answer to the command of the same name and to an HTTP GET. It is
// much larger than 64 KiB, so that a session must use the connection for a while after
// a change of the mark before it counts as working.
var flood = bytes.Repeat([]byte(verse), 256<<10/len(verse))

// floodCommand makes the server send flood.
const floodCommand = "flood"

// An sshServer is a small SSH server: it does the key exchange, checks a password or a
// key, and serves sessions with or without a terminal.
type sshServer struct {
	listener net.Listener
	config   *ssh.ServerConfig
	accepted func(net.Conn) error // called for each accepted connection, if not nil
	handlers sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	logins int
}

// serveSSH serves the connections of l until Close.
func serveSSH(l net.Listener, keys *keyring, accepted func(net.Conn) error) (*sshServer, error) {
	config, err := keys.serverConfig()
	if err != nil {
		return nil, err
	}
	s := &sshServer{listener: l, config: config, accepted: accepted, conns: make(map[net.Conn]struct{})}
	config.AuthLogCallback = func(_ ssh.ConnMetadata, _ string, err error) {
		if err == nil { // count here: the client may be gone before NewServerConn returns
			s.mu.Lock()
			s.logins++
			s.mu.Unlock()
		}
	}
	s.handlers.Go(s.acceptAll)
	return s, nil
}

func (s *sshServer) Addr() string { return s.listener.Addr().String() }

// Logins returns the number of clients that have logged in so far.
func (s *sshServer) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Close ends all connections and waits until all goroutines of the server have ended.
func (s *sshServer) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.handlers.Wait()
	return err
}

func (s *sshServer) acceptAll() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // closed, or an error that the clients will report
		}
		if !s.hold(c) {
			c.Close()
			return
		}
		s.handlers.Go(func() {
			defer s.release(c)
			s.handle(c)
		})
	}
}

// hold registers c for Close. It returns false after Close.
func (s *sshServer) hold(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *sshServer) release(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// handle serves one connection. It reports no errors: the client does.
func (s *sshServer) handle(c net.Conn) {
	if s.accepted != nil && s.accepted(c) != nil {
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	defer conn.Close()

	var sessions sync.WaitGroup
	defer sessions.Wait()
	sessions.Go(func() { ssh.DiscardRequests(requests) })
	for channel := range channels {
		if channel.ChannelType() != "session" {
			_ = channel.Reject(ssh.UnknownChannelType, "only sessions are served")
			continue
		}
		ch, reqs, err := channel.Accept()
		if err != nil {
			continue
		}
		sessions.Go(func() { serveSession(ch, reqs) })
	}
}

// serveSession answers the requests of one session channel. The first "exec" or "shell"
// starts a program, whose end closes the channel.
func serveSession(ch ssh.Channel, requests <-chan *ssh.Request) {
	var program sync.WaitGroup
	defer program.Wait()
	defer ch.Close()
	started := false
	start := func(main func() uint32) {
		started = true
		program.Go(func() {
			status := main()
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			ch.Close()
		})
	}
	for req := range requests {
		var command struct{ Line string }
		switch {
		case req.Type == "pty-req", req.Type == "env":
			_ = req.Reply(true, nil)
		case req.Type == "shell" && !started:
			_ = req.Reply(true, nil)
			start(func() uint32 { return shell(ch) })
		case req.Type == "exec" && !started && ssh.Unmarshal(req.Payload, &command) == nil:
			_ = req.Reply(true, nil)
			start(func() uint32 { return execute(ch, command.Line) })
		default:
			_ = req.Reply(false, nil)
		}
	}
}

// shell executes the lines of its input, up to "exit".
func shell(ch ssh.Channel) (status uint32) {
	lines := bufio.NewScanner(ch)
	for lines.Scan() {
		if lines.Text() == "exit" {
			break
		}
		status = execute(ch, lines.Text())
	}
	return status
}

// execute executes one of two commands: floodCommand, and "true", which prints nothing.
func execute(ch ssh.Channel, line string) (status uint32) {
	switch line {
	case "true":
		return 0
	case floodCommand:
		if _, err := io.Copy(ch, bytes.NewReader(flood)); err != nil {
			return 1
		}
		return 0
	}
	fmt.Fprintf(ch.Stderr(), "%s: command not found\n", line)
	return 127
}
