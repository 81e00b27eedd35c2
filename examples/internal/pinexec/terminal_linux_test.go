//go:build amd64 || arm64

package pinexec

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// TestTerminal claims that input, job control and signals of the terminal work as
// they do without pinexec.
func TestTerminal(t *testing.T) {
	t.Parallel()
	needFilters(t)
	pinexec := sshtest.Program(t, "pinexec")
	for _, mark := range []string{"AF21", "DF"} {
		t.Run(mark, func(t *testing.T) {
			t.Parallel()
			shell := exec.Command(sshtest.Tool(t, "bash"), "--norc", "--noprofile", "-i")
			shell.Env = []string{"PS1=ready> ", "PATH=/usr/bin:/bin", "TERM=dumb"}
			p := sshtest.SitDown(t, shell)
			p.Sees("ready> ")
			run := func(command string) { p.Types(pinexec + " " + mark + " " + command + "\n") }

			// Type only after the program has started: the shell may read earlier input.
			run("sh -c 'echo begun; exec cat'")
			p.Sees("\r\nbegun\r\n")
			p.Types("one\n")
			p.Sees("one\r\none\r\n")
			p.Types("\x1a") // ^Z
			p.Sees("Stopped")
			p.Sees("ready> ")
			p.Types("fg\n")
			p.Sees("exec cat'\r\n")
			p.Types("two\n")
			p.Sees("two\r\ntwo\r\n")
			p.Types("\x03") // ^C
			p.Sees("ready> ")
			p.Types("echo status=$?\n")
			p.Sees("status=130\r\n")

			run("sh -c 'echo begun; exec cat'")
			p.Sees("\r\nbegun\r\n")
			p.Types("three\n")
			p.Sees("three\r\nthree\r\n")
			p.Types("\x04") // ^D
			p.Sees("ready> ")

			run(`bash -c 'trap "stty size; exit 9" WINCH; echo begun; while :; do sleep 0.02; done'`)
			p.Sees("begun\r\n")
			p.Resizes(30, 99)
			p.Sees("30 99\r\n")
			p.Sees("ready> ")
			p.Types("echo status=$?\n")
			p.Sees("status=9\r\n")

			run("sleep 1000 &")
			p.Sees("ready> ")
			p.Types("kill %1; wait %1; echo status=$?\n")
			p.Sees("status=143\r\n")
			p.Types("exit\n")
			assert.Zero(t, p.Waits())
		})
	}
}
