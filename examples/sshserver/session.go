//go:build unix

package main

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
)

// A session is one channel of a connection: a shell, a command, or sftp
// (RFC 4254, section 6).
type session struct {
	account account
	log     *slog.Logger
	channel ssh.Channel
	running *sync.WaitGroup // the goroutines of the connection
	env     []string

	terminal *terminal // nil without pty-req
	resized  chan pty.Winsize
	signals  chan syscall.Signal
}

// A terminal is the terminal that a client has requested.
type terminal struct {
	name string
	size pty.Winsize
}

func newSession(s *server, log *slog.Logger, c net.Conn, channel ssh.Channel, running *sync.WaitGroup) *session {
	return &session{
		account: s.account, log: log, channel: channel, running: running,
		env:     append(s.account.environment(), connectionVariables(c)...),
		resized: make(chan pty.Winsize, 1),
		signals: make(chan syscall.Signal, 8),
	}
}

// connectionVariables returns the environment variables that show programs that they
// run under SSH.
func connectionVariables(c net.Conn) []string {
	host, port, err1 := net.SplitHostPort(c.RemoteAddr().String())
	ourHost, ourPort, err2 := net.SplitHostPort(c.LocalAddr().String())
	if err1 != nil || err2 != nil {
		return nil
	}
	return []string{
		"SSH_CLIENT=" + strings.Join([]string{host, port, ourPort}, " "),
		"SSH_CONNECTION=" + strings.Join([]string{host, port, ourHost, ourPort}, " "),
	}
}

// serve answers the client's requests until the channel ends. Then the command ends,
// too.
func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := false
	for req := range requests {
		ok := false
		switch req.Type {
		case "pty-req":
			ok = !started && s.wantTerminal(req.Payload)
		case "env":
			ok = !started && s.setVariable(req.Payload)
		case "window-change":
			ok = s.resize(req.Payload)
		case "signal":
			ok = s.signal(req.Payload)
		case "shell", "exec", "subsystem":
			run := s.what(req)
			if ok = run != nil && !started; ok {
				started = true
				req.Reply(true, nil) // before the first byte of output
				s.running.Go(func() {
					defer s.channel.Close()
					exit := run(ctx)
					s.log.Info("session ended", "exit", exit.String())
					exit.send(s.channel)
				})
				continue
			}
		}
		if req.WantReply {
			req.Reply(ok, nil)
		}
	}
}

// what returns a function that runs the requested program, or nil.
func (s *session) what(req *ssh.Request) func(context.Context) exit {
	var payload struct{ Value string }
	if req.Type != "shell" && ssh.Unmarshal(req.Payload, &payload) != nil {
		return nil
	}
	if req.Type == "subsystem" {
		if payload.Value != "sftp" {
			return nil
		}
		s.log.Info("session", "subsystem", "sftp")
		return func(context.Context) exit { return s.sftp() }
	}
	s.log.Info("session", "command", payload.Value, "terminal", s.terminal != nil)
	argv := s.account.command(payload.Value)
	if s.terminal != nil {
		return func(ctx context.Context) exit { return s.runOnTerminal(ctx, argv) }
	}
	return func(ctx context.Context) exit { return s.run(ctx, argv) }
}

func (s *session) wantTerminal(payload []byte) bool {
	var want struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if ssh.Unmarshal(payload, &want) != nil {
		return false
	}
	s.terminal = &terminal{want.Term, winsize(want.Columns, want.Rows, want.Width, want.Height)}
	return true
}

// setVariable sets a variable that OpenSSH's servers commonly accept.
func (s *session) setVariable(payload []byte) bool {
	var v struct{ Name, Value string }
	if ssh.Unmarshal(payload, &v) != nil || v.Name != "LANG" && !strings.HasPrefix(v.Name, "LC_") {
		return false
	}
	s.env = append(s.env, v.Name+"="+v.Value)
	return true
}

func (s *session) resize(payload []byte) bool {
	var to struct{ Columns, Rows, Width, Height uint32 }
	if ssh.Unmarshal(payload, &to) != nil {
		return false
	}
	select { // only the latest size counts, and only this goroutine sends
	case <-s.resized:
	default:
	}
	s.resized <- winsize(to.Columns, to.Rows, to.Width, to.Height)
	return true
}

func (s *session) signal(payload []byte) bool {
	var sig struct{ Name string }
	if ssh.Unmarshal(payload, &sig) != nil || signalNumber(sig.Name) == 0 {
		return false
	}
	select {
	case s.signals <- signalNumber(sig.Name):
		return true
	default:
		return false // no command reads them, or too many are waiting
	}
}

func winsize(columns, rows, width, height uint32) pty.Winsize {
	return pty.Winsize{Rows: uint16(rows), Cols: uint16(columns), X: uint16(width), Y: uint16(height)}
}
