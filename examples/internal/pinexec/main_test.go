package pinexec

import (
	"os"
	"runtime"
	"testing"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// A probe asks about the thread that was executed.
func init() { runtime.LockOSThread() }

// TestMain runs the tests, or in a child process the part of one that is to be
// run under pinexec.
func TestMain(m *testing.M) {
	Init()
	if len(os.Args) > 2 && os.Args[1] == probeWord {
		probes[os.Args[2]](os.Args[3:])
		return
	}
	sshtest.Main(m)
}

const probeWord = "probe"

// probes are programs for the tests. What they print is compared.
var probes = map[string]func(args []string){}
