//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
)

// grace is how long a process may take to end after its session.
const grace = 2 * time.Second

// A command is the leader of a new process group in a new session of the kernel.
type command struct {
	*exec.Cmd
	mu     sync.Mutex
	reaped bool // another process may have its id now
}

// signal signals the process group. It fails after the command has been reaped,
// when another group may have the id.
func (c *command) signal(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return os.ErrProcessDone
	}
	return syscall.Kill(-c.Process.Pid, sig)
}

// reap reaps a command that has ended.
func (c *command) reap() error {
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	return c.Wait()
}

// newCommand returns the command for argv. When ctx ends, its group gets SIGHUP, and
// later, if it still runs, SIGKILL.
func (s *session) newCommand(ctx context.Context, argv []string) *command {
	cmd := &command{Cmd: exec.CommandContext(ctx, s.account.shell)}
	cmd.Args = argv
	cmd.Dir = s.account.home
	cmd.Env = s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return cmd.signal(syscall.SIGHUP) }
	cmd.WaitDelay = grace
	return cmd
}

// run runs a command with pipes to the channel.
func (s *session) run(ctx context.Context, argv []string) exit {
	cmd := s.newCommand(ctx, argv)
	pipes, err := newPipes(3)
	if err != nil {
		return failed(s.channel, err)
	}
	defer pipes.close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pipes.r[0], pipes.w[1], pipes.w[2]
	if err := cmd.Start(); err != nil {
		return failed(s.channel, err)
	}
	for _, theirs := range []*os.File{pipes.r[0], pipes.w[1], pipes.w[2]} {
		theirs.Close()
	}

	s.running.Go(func() {
		io.Copy(pipes.w[0], s.channel)
		pipes.w[0].Close() // the client has sent its last data
	})
	var outputs sync.WaitGroup
	outputs.Go(func() { io.Copy(s.channel, pipes.r[1]) })
	outputs.Go(func() { io.Copy(s.channel.Stderr(), pipes.r[2]) })
	return s.wait(ctx, cmd, nil, &outputs, pipes.close)
}

// runOnTerminal runs a command on a new pseudo-terminal.
func (s *session) runOnTerminal(ctx context.Context, argv []string) exit {
	cmd := s.newCommand(ctx, argv)
	master, slave, err := pty.Open()
	if err != nil {
		return failed(s.channel, err)
	}
	defer master.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setctty = true // descriptor 0
	cmd.Env = append(cmd.Env, "TERM="+s.terminal.name, "SSH_TTY="+slave.Name())
	err = pty.Setsize(master, &s.terminal.size)
	if err == nil {
		err = cmd.Start()
	}
	slave.Close()
	if err != nil {
		return failed(s.channel, err)
	}

	s.running.Go(func() { io.Copy(master, s.channel) })
	var output sync.WaitGroup
	// Ends with an error: the kernel hangs up the terminal when the session leader has
	// ended.
	output.Go(func() { io.Copy(s.channel, master) })
	return s.wait(ctx, cmd, master, &output, func() { master.Close() })
}

// wait waits for the command and for the end of its output, and meanwhile passes on
// signals and window sizes. Processes that the command has left may keep the output
// open, as under OpenSSH. When ctx ends, wait kills the group and calls abandon,
// which must end the output.
//
// Until then, wait does not reap the command if the system allows that: so no other
// group can get the id by which wait kills the group.
func (s *session) wait(ctx context.Context, cmd *command, master *os.File, output *sync.WaitGroup, abandon func()) exit {
	ended := make(chan struct{})
	s.running.Go(func() { s.control(cmd, master, ended) })
	var err error
	zombie := waitForEnd(cmd.Process.Pid)
	if !zombie {
		err = cmd.Wait()
		cmd.mu.Lock()
		cmd.reaped = true
		cmd.mu.Unlock()
	}
	close(ended)

	shown := make(chan struct{})
	go func() {
		defer close(shown)
		output.Wait()
	}()
	select {
	case <-shown:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		cmd.signal(syscall.SIGKILL) // for processes that ignore SIGHUP
		abandon()
		<-shown
	}
	if zombie {
		err = cmd.reap()
	}
	if cmd.ProcessState == nil {
		return failed(s.channel, err)
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return exit{signal: status.Signal(), core: status.CoreDump()}
	}
	return exit{status: uint32(status.ExitStatus())}
}

// control passes on signals and window sizes until the command has ended.
func (s *session) control(cmd *command, master *os.File, ended <-chan struct{}) {
	for {
		select {
		case sig := <-s.signals:
			select {
			case <-ended: // background processes get no more signals
				return
			default:
				cmd.signal(sig)
			}
		case size := <-s.resized:
			if master != nil {
				pty.Setsize(master, &size)
			}
		case <-ended:
			return
		}
	}
}

// failed sends the client an error and returns the exit status for it.
func failed(channel ssh.Channel, err error) exit {
	fmt.Fprintf(channel.Stderr(), "sshserver: %v\r\n", err)
	return exit{status: 255}
}

// pipes are the read and write ends of some pipes.
type pipes struct{ r, w []*os.File }

func newPipes(n int) (pipes, error) {
	var p pipes
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			return pipes{}, err
		}
		p.r, p.w = append(p.r, r), append(p.w, w)
	}
	return p, nil
}

// close closes all ends.
func (p pipes) close() {
	for i := range p.r {
		p.r[i].Close()
		p.w[i].Close()
	}
}
