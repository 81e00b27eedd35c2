//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// throughCommand runs the ProxyCommand, which relays or, with ProxyUseFdpass, passes a
// connection and ends.
func (c *connector) throughCommand(ctx context.Context) (net.Conn, error) {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	cmd := exec.Command(shell, "-c", "exec "+c.proxyCommand)
	cmd.Stderr = c.stderr
	c.say("running %s", c.proxyCommand)
	if c.fdpass {
		return c.passed(ctx, cmd)
	}
	return relayed(cmd)
}

// passed returns the connection that the command passes over its standard output,
// pinned to the mark that it has.
func (c *connector) passed(ctx context.Context, cmd *exec.Cmd) (net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range pair {
		unix.CloseOnExec(fd)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	cmd.Stdin, cmd.Stdout = theirs, theirs
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, err
	}
	passing, err := net.FileConn(ours)
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	defer passing.Close()
	defer context.AfterFunc(ctx, func() { cmd.Process.Kill() })()
	conn, err := receiveConn(passing.(*net.UnixConn))
	if failed := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("ProxyCommand passed no connection: %w", errors.Join(failed, err))
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		c.say("ProxyCommand connected to %v", conn.RemoteAddr())
		return conn, nil
	}
	pinned, err := dscp.Pin(tcp)
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.say("ProxyCommand connected to %v from %v, marked %v", pinned.RemoteAddr(), pinned.LocalAddr(), pinned.DSCP())
	return pinned, nil
}

// receiveConn receives one descriptor (SCM_RIGHTS) and returns its connection.
func receiveConn(c *net.UnixConn) (net.Conn, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), control)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			f := os.NewFile(uintptr(fd), "passed")
			defer f.Close() // FileConn duplicates it
			return net.FileConn(f)
		}
	}
	return nil, errors.New("received no descriptor")
}

// relayed returns a connection over the standard input and output of the command.
func relayed(cmd *exec.Cmd) (net.Conn, error) {
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), ourOut.Close())
	}
	cmd.Stdin, cmd.Stdout = theirIn, theirOut
	err = cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		return nil, errors.Join(err, ourIn.Close(), ourOut.Close())
	}
	return &pipes{in: ourIn, out: ourOut, cmd: cmd}, nil
}

// pipes is a net.Conn over the standard input and output of a program.
type pipes struct {
	in, out *os.File
	cmd     *exec.Cmd
}

func (p *pipes) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *pipes) Write(b []byte) (int, error) { return p.out.Write(b) }

// Close closes the pipes and sends the program SIGHUP.
func (p *pipes) Close() error {
	err := errors.Join(p.out.Close(), p.in.Close())
	if err != nil {
		return err // closed before
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	go p.cmd.Wait()
	return nil
}

func (p *pipes) LocalAddr() net.Addr  { return pipeAddr{} }
func (p *pipes) RemoteAddr() net.Addr { return pipeAddr{} }

func (p *pipes) SetDeadline(t time.Time) error {
	return errors.Join(p.in.SetDeadline(t), p.out.SetDeadline(t))
}
func (p *pipes) SetReadDeadline(t time.Time) error  { return p.in.SetReadDeadline(t) }
func (p *pipes) SetWriteDeadline(t time.Time) error { return p.out.SetWriteDeadline(t) }

// pipeAddr is the address of both ends of pipes.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "ProxyCommand" }
