package pinexec

import (
	"os"
	"runtime"
	"testing"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// Probes read state of the process's first thread, such as the parent death signal.
func init() { runtime.LockOSThread() }

// TestMain runs the tests, or, in a child process under pinexec, a probe.
func TestMain(m *testing.M) {
	Init()
	if len(os.Args) > 2 && os.Args[1] == probeWord {
		probes[os.Args[2]](os.Args[3:])
		return
	}
	sshtest.Main(m)
}

const probeWord = "probe"

// probes are programs that the tests run under pinexec. They print what they find.
var probes = map[string]func(args []string){}
