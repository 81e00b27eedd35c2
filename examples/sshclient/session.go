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

// run runs the session and returns the exit status of what ran there.
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
	// Not as session.Stdin: Wait would then fail if the command ended with input
	// unread, which is no error, and its exit status would be lost.
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

// useTerminal asks the server for a terminal like ours, and makes ours pass
// everything on to that. If it fails, ours is as it was, and there is no restore.
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

// outcome returns the exit status that is in the error of Session.Wait, or of
// runSubsystem.
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

// lost explains an error of a session by that of its connection, if it was that
// which ended. Nil stays nil.
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
