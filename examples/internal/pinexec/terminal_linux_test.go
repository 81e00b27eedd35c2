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
			p := sshtest.StartTerminal(t, shell)
			p.Expect("ready> ")
			run := func(command string) { p.Type(pinexec + " " + mark + " " + command + "\n") }

			// Type only after the program has started: the shell may read earlier input.
			run("sh -c 'echo begun; exec cat'")
			p.Expect("\r\nbegun\r\n")
			p.Type("one\n")
			p.Expect("one\r\none\r\n")
			p.Type("\x1a") // ^Z
			p.Expect("Stopped")
			p.Expect("ready> ")
			p.Type("fg\n")
			p.Expect("exec cat'\r\n")
			p.Type("two\n")
			p.Expect("two\r\ntwo\r\n")
			p.Type("\x03") // ^C
			p.Expect("ready> ")
			p.Type("echo status=$?\n")
			p.Expect("status=130\r\n")

			run("sh -c 'echo begun; exec cat'")
			p.Expect("\r\nbegun\r\n")
			p.Type("three\n")
			p.Expect("three\r\nthree\r\n")
			p.Type("\x04") // ^D
			p.Expect("ready> ")

			run(`bash -c 'trap "stty size; exit 9" WINCH; echo begun; while :; do sleep 0.02; done'`)
			p.Expect("begun\r\n")
			p.Resize(30, 99)
			p.Expect("30 99\r\n")
			p.Expect("ready> ")
			p.Type("echo status=$?\n")
			p.Expect("status=9\r\n")

			run("sleep 1000 &")
			p.Expect("ready> ")
			p.Type("kill %1; wait %1; echo status=$?\n")
			p.Expect("status=143\r\n")
			p.Type("exit\n")
			assert.Zero(t, p.Wait())
		})
	}
}
