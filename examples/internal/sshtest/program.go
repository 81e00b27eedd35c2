package sshtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs is the environment variable with the directory of programs that are
// already built: by a parent process, or for a user without a Go toolchain.
const programs = "GODSCP_EXAMPLES"

// Program builds the example program of that name, once per process, and returns
// its file name. The TestMain of a package that uses it must call [Main].
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

// Main runs the tests, removes the programs that Program built, and exits.
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
