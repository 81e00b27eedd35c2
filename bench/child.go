package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
)

// The program starts itself again: for the other end of the connections, so that
// only one end is measured, and to count system calls. What such a child does is
// in its arguments.
const childArg = "child"

// jobs are what a child can be told to do.
var jobs = map[string]func(args []string) error{
	"far-end": func([]string) error { return serveCalls() },
	"dial":    dialJob,
	"accept":  acceptJob,
	"copy":    copyJob,
	"setdscp": setDSCPJob,
	"nothing": func([]string) error { return nil },
}

// runChild does a child's job if this process is one, and does not return then.
func runChild() {
	if len(os.Args) < 3 || os.Args[1] != childArg {
		return
	}
	if err := jobs[os.Args[2]](os.Args[3:]); err != nil {
		fmt.Fprintf(os.Stderr, "child %v: %v\n", os.Args[2:], err)
		os.Exit(1)
	}
	os.Exit(0)
}

// childCommand is the command line of a child, behind that of a program, such as
// strace, that runs it.
func childCommand(ctx context.Context, under []string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line := slices.Concat(under, []string{self, childArg}, args)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// A farEnd is a process that has the other end of connections. Its calls are
// those of the types that serveCalls registers.
type farEnd struct {
	*rpc.Client
	cmd *exec.Cmd
}

func startFarEnd(ctx context.Context) (*farEnd, error) {
	cmd, err := childCommand(ctx, nil, "far-end")
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &farEnd{rpc.NewClient(pipes{out, in}), cmd}, nil
}

// Close ends the process, with all its connections.
func (f *farEnd) Close() error {
	return errors.Join(f.Client.Close(), f.cmd.Wait())
}

func serveCalls() error {
	for _, service := range []any{new(Callee), new(Caller), new(Mover), new(Holder)} {
		if err := rpc.Register(service); err != nil {
			return err
		}
	}
	rpc.ServeConn(pipes{os.Stdin, os.Stdout})
	return nil
}

// pipes are the two directions of a connection.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error {
	return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close())
}

// None is for calls that have no argument or no result.
type None struct{}
