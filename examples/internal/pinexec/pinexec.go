// Package pinexec runs programs and gives one DSCP to their Internet sockets, from
// the first packet to the last. The command examples/pinexec documents the limits;
// examples/vmware uses the package, too.
//
// A program that uses the package must call [Init] first: the package executes the
// program again as the supervisor that makes the sockets.
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

// Exit statuses if the program did not run, as those of env(1).
const (
	Failed    = 125 // pinexec failed
	CannotRun = 126
	NotFound  = 127
)

// Options are the program to run and its mark.
type Options struct {
	Mark   dscp.CodePoint
	Strict bool // setting another mark fails with EPERM; otherwise it does nothing and succeeds

	// Verbose writes a line for each socket to the file Log, or to standard error if
	// Log is empty.
	Verbose bool
	Log     string

	Command []string // the program, which Exec finds as execvp(3) does, and its arguments
}

// Exec replaces this process with the program. It returns only if it failed, with
// the exit status for the error. Call [Init] first.
func Exec(o Options) (status int, err error) { return execute(o) }

// The values of os.Args[0] by which Init recognises the processes of this package.
const (
	supervisorName = "pinexec: supervisor"
	underName      = "pinexec"
)

// Init returns at once, unless [Exec], [Under] or [Check] has started this process:
// then it does their work and exits.
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

// The values of os.Args[1] after underName.
const (
	underWord = "under"
	checkWord = "check"
)

// Check returns an error if this system cannot run programs under pinexec. It tries
// it in a new process.
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

// Under changes cmd so that it runs under pinexec: cmd executes this program again,
// whose Init calls [Exec].
func Under(cp dscp.CodePoint, cmd *exec.Cmd) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd.Args = append([]string{underName, underWord, strconv.Itoa(int(cp)), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = self
	return nil
}

// instead is the advice for systems where pinexec cannot run.
const instead = "for ssh, use the lines that proxycommand -print-config prints for ~/.ssh/config instead, " +
	"or set one mark for all sessions there, such as \"IPQoS lowdelay\""
