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

// childArg is the first argument of a child. The program starts itself as a child for the
// other end of the connections, so that only one end is measured, and to count system
// calls.
const childArg = "child"

// jobs are the tasks of a child, by its second argument.
var jobs = map[string]func(args []string) error{
	"far-end": func([]string) error { return serveCalls() },
	"dial":    dialJob,
	"accept":  acceptJob,
	"copy":    copyJob,
	"setdscp": setDSCPJob,
	"nothing": func([]string) error { return nil },
}

// runChild does the job of a child and exits, if this process is a child.
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

// childCommand returns the command of a child. under is the command line of a program, such
// as strace, that runs the child.
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

// A farEnd is a child that has the other end of connections. Its methods are those of the
// types that serveCalls registers.
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

// Close ends the child and all its connections.
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

// None is the argument or result of calls without one.
type None struct{}
