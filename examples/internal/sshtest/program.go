package sshtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs names the environment variable with the directory of programs that
// are built already: by a parent process, or by somebody for a user who has no
// Go.
const programs = "GODSCP_EXAMPLES"

// Program builds the example program of that name, once per process, and returns
// the name of the executable file. A package that uses it has a TestMain that
// calls [Main].
func Program(tb testing.TB, name string) string {
	tb.Helper()
	if dir := os.Getenv(programs); dir != "" {
		return filepath.Join(dir, name)
	}
	file, err := build(name)
	if err != nil {
		tb.Fatal(err)
	}
	return file
}

// Main runs the tests and removes what Program built.
func Main(m *testing.M) {
	code := m.Run()
	builds.Lock()
	defer builds.Unlock()
	if builds.dir != "" {
		os.RemoveAll(builds.dir)
	}
	os.Exit(code)
}

var builds struct {
	sync.Mutex
	dir  string
	done map[string]error
}

func build(name string) (string, error) {
	builds.Lock()
	defer builds.Unlock()
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "examples")
		if err != nil {
			return "", err
		}
		builds.dir, builds.done = dir, map[string]error{}
	}
	file := filepath.Join(builds.dir, name)
	err, ok := builds.done[name]
	if !ok {
		out, cerr := exec.Command("go", "build", "-o", file, "github.com/godscp/godscp/examples/"+name).CombinedOutput()
		if cerr != nil {
			err = fmt.Errorf("go build: %w\n%s", cerr, out)
		}
		builds.done[name] = err
	}
	return file, err
}
