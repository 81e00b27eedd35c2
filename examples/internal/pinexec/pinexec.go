// Package pinexec runs programs whose Internet sockets carry one DSCP from birth,
// and keep it. Its command, which says what that does and does not do, is
// examples/pinexec; examples/vmware shows it at work.
//
// A program that uses the package calls [Init] first: it is executed again as the
// supervisor that makes the sockets.
package pinexec

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/godscp/godscp/dscp"
)

// Exit statuses, as of env(1). Otherwise it is the program's own.
const (
	Failed    = 125 // pinexec itself
	CannotRun = 126
	NotFound  = 127
)

// Options say what to run, and how.
type Options struct {
	Mark   dscp.CodePoint
	Strict bool // setting another mark fails with EPERM, instead of doing nothing

	// Verbose has a line written for each socket, to the file Log, or to standard
	// error if that is empty.
	Verbose bool
	Log     string

	Command []string // the program, which is looked for as execvp(3) does, and its arguments
}

// Exec becomes the program. If it cannot, it returns why, and the exit status that
// stands for it. [Init] must have been called.
func Exec(o Options) (status int, err error) { return execute(o) }

// The first arguments by which this program knows what it has been executed for.
const (
	supervisorName = "pinexec: supervisor"
	underName      = "pinexec"
)

// Init returns at once, unless this process has been started by [Exec], [Under]
// or [Check]: then it does what it is for and exits.
func Init() {
	switch {
	case len(os.Args) == 5 && os.Args[0] == supervisorName:
		os.Exit(supervise(os.Args))
	case len(os.Args) > 3 && os.Args[0] == underName && os.Args[1] == underWord:
		cp, err := strconv.ParseUint(os.Args[2], 10, 6)
		status := Failed
		if err == nil {
			status, err = Exec(Options{Mark: dscp.CodePoint(cp), Command: os.Args[3:]})
		}
		fmt.Fprintln(os.Stderr, "pinexec:", err)
		os.Exit(status)
	case len(os.Args) == 2 && os.Args[0] == underName && os.Args[1] == checkWord:
		if err := try(); err != nil {
			fmt.Fprint(os.Stderr, err)
			os.Exit(Failed)
		}
		os.Exit(0)
	}
}

// What follows underName.
const (
	underWord = "under"
	checkWord = "check"
)

// Check returns why programs cannot be run here, or nil. It tries it in a process
// of its own.
func Check(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{underName, checkWord}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if len(out) > 0 && cmd.ProcessState.ExitCode() == Failed {
		return fmt.Errorf("pinexec: %s", out)
	}
	return err
}

// Under changes cmd so that it runs under pinexec, which is this program, executed
// once more.
func Under(cp dscp.CodePoint, cmd *exec.Cmd) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd.Args = append([]string{underName, underWord, strconv.Itoa(int(cp)), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = self
	return nil
}

// instead says what can be done where pinexec cannot run.
const instead = "instead, for ssh and what uses it: proxycommand -print-config, whose lines for ~/.ssh/config " +
	"need nothing from the system, or one mark for all sessions, such as \"IPQoS lowdelay\", in ~/.ssh/config"
