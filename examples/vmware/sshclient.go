package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/crypto/ssh"
)

// execSSH is the work of "ssh host command": it logs in and runs commands without a
// terminal.
func execSSH(c net.Conn, p place, at func(moment) error) (string, error) {
	return sessions(c, p, at, func(session *ssh.Session, command string) ([]byte, error) {
		return session.Output(command)
	})
}

// shellSSH is the work of "ssh host": it logs in, requests a terminal and a shell, and
// types commands.
func shellSSH(c net.Conn, p place, at func(moment) error) (string, error) {
	return sessions(c, p, at, func(session *ssh.Session, command string) ([]byte, error) {
		if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
			return nil, err
		}
		var out bytes.Buffer
		session.Stdout = &out
		session.Stdin = bytes.NewBufferString(command + "\nexit\n")
		if err := session.Shell(); err != nil {
			return nil, err
		}
		err := session.Wait()
		return out.Bytes(), err
	})
}

// sessions logs in and runs two sessions: a short one before the moment midway, and the
// flood after it.
func sessions(c net.Conn, p place, at func(moment) error, run func(*ssh.Session, string) ([]byte, error)) (string, error) {
	client, err := p.keys.sshClient(c)
	if err != nil {
		return "", err
	}
	defer client.Close()
	if err := at(loggedIn); err != nil {
		return "", err
	}
	one := func(command string) ([]byte, error) {
		session, err := client.NewSession()
		if err != nil {
			return nil, err
		}
		defer session.Close()
		return run(session, command)
	}
	if _, err := one("true"); err != nil {
		return "", cause(client, err)
	}
	if err := at(midway); err != nil {
		return "", err
	}
	out, err := one(floodCommand)
	if err != nil {
		return "", cause(client, err)
	}
	if !bytes.Equal(out, flood) {
		return "", fmt.Errorf("exit status 0, but %d bytes of %d", len(out), len(flood))
	}
	return fmt.Sprintf("exit status 0, %d bytes", len(out)), nil
}

// cause returns the reason why a session failed. Often the session reports only that
// there was no exit status; the connection's error has the reason.
func cause(client *ssh.Client, err error) error {
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return err // not an error of the connection
	}
	client.Close() // so that Wait returns
	if below := client.Wait(); below != nil && !errors.Is(below, net.ErrClosed) && !errors.Is(below, io.EOF) {
		return below
	}
	return err
}
