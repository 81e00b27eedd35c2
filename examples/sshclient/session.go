package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// A session is a shell, a command or a subsystem on the server.
type session struct {
	client   *ssh.Client
	host     string
	options  options
	terminal terminal
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
}

// run runs the session and returns the exit status of the remote program.
func (s *session) run(ctx context.Context) (int, error) {
	defer context.AfterFunc(ctx, func() { s.client.Close() })()
	if s.options.subsystem {
		return s.outcome(s.runSubsystem(s.options.command[0]))
	}
	session, err := s.client.NewSession()
	if err != nil {
		return 0, s.lost(err)
	}
	defer session.Close()
	session.Stdout, session.Stderr = s.stdout, s.stderr
	// Do not set session.Stdin: if the command ended before it had read all input,
	// Wait would return an error and lose the exit status.
	input, err := session.StdinPipe()
	if err != nil {
		return 0, err
	}
	if s.terminal.wanted {
		restore, err := s.useTerminal(session)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	if len(s.options.command) == 0 {
		err = session.Shell()
	} else {
		err = session.Start(strings.Join(s.options.command, " "))
	}
	if err != nil {
		return 0, s.lost(err)
	}
	go func() {
		io.Copy(input, s.stdin)
		input.Close()
	}()
	return s.outcome(session.Wait())
}

// useTerminal requests a terminal on the server, and puts the local terminal, if there
// is one, into raw mode. If it fails, the local terminal is unchanged and restore nil.
func (s *session) useTerminal(session *ssh.Session) (restore func(), err error) {
	name := os.Getenv("TERM")
	if name == "" {
		name = "dumb"
	}
	if s.terminal.local == nil {
		if err := session.RequestPty(name, 24, 80, ssh.TerminalModes{}); err != nil {
			return nil, s.lost(err)
		}
		return func() {}, nil
	}
	fd := int(s.terminal.local.Fd())
	columns, rows, err := term.GetSize(fd)
	if err != nil {
		return nil, err
	}
	if err := session.RequestPty(name, rows, columns, ssh.TerminalModes{}); err != nil {
		return nil, s.lost(err)
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	stop := onResize(func() {
		if columns, rows, err := term.GetSize(fd); err == nil {
			session.WindowChange(rows, columns)
		}
	})
	return func() {
		stop()
		term.Restore(fd, before)
		fmt.Fprintf(s.stderr, "Connection to %s closed.\n", s.host)
	}, nil
}

// outcome returns the exit status in the error of Session.Wait or runSubsystem.
func (s *session) outcome(err error) (int, error) {
	var exit *ssh.ExitError
	var status statusOf
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &status):
		return int(status), nil
	case !errors.As(err, &exit):
		return 0, s.lost(err)
	case exit.Signal() != "":
		return 0, fmt.Errorf("on %s: %w", s.host, exit)
	}
	return exit.ExitStatus(), nil
}

// lost returns the error of the connection if err means that the connection has ended,
// else err. It returns nil for nil.
func (s *session) lost(err error) error {
	var missing *ssh.ExitMissingError
	if err == nil || !errors.As(err, &missing) && !errors.Is(err, io.EOF) {
		return err
	}
	s.client.Close()
	if cause := s.client.Wait(); !errors.Is(cause, net.ErrClosed) && !errors.Is(cause, io.EOF) {
		return fmt.Errorf("connection to %s lost: %w", s.host, cause)
	}
	return fmt.Errorf("connection to %s closed by remote host", s.host)
}
