//go:build amd64 || arm64

package pinexec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/dscp"
)

// execute executes the program under a filter, and returns only if it failed.
func execute(o Options) (status int, err error) {
	// The filter holds for this thread and its children.
	runtime.LockOSThread()
	paths, err := find(o.Command[0])
	if err != nil {
		return statusOf(err), fmt.Errorf("%s: %w", o.Command[0], err)
	}
	if err := pin(o); err != nil {
		return Failed, err
	}
	err = become(paths, o.Command)
	return statusOf(err), fmt.Errorf("%s: %w", o.Command[0], err)
}

// try does what execute does, except that it executes no program.
func try() error {
	runtime.LockOSThread()
	return pin(Options{Mark: dscp.AF21})
}

func statusOf(err error) int {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return NotFound
	}
	return CannotRun
}

// find returns the file names that execvp(3) would try for the program. It returns
// an error if none of them can be executed.
func find(name string) (paths []string, err error) {
	if name == "" {
		return nil, unix.ENOENT
	}
	if strings.Contains(name, "/") {
		paths = []string{name}
	} else {
		for _, dir := range filepath.SplitList(pathVariable()) {
			if dir == "" {
				dir = "."
			}
			paths = append(paths, dir+"/"+name)
		}
	}
	err = unix.ENOENT
	for _, p := range paths {
		switch e := unix.Access(p, unix.X_OK); e {
		case nil:
			return paths, nil
		case unix.EACCES:
			err = e
		}
	}
	return nil, err
}

func pathVariable() string {
	if path, ok := os.LookupEnv("PATH"); ok {
		return path
	}
	return "/bin:/usr/bin" // the default of execvp(3)
}

// become executes the program as execvp(3) does: the first of the paths that works.
// A shell runs a file without a known format.
func become(paths, args []string) error {
	var err error = unix.ENOENT
	for _, p := range paths {
		e := unix.Exec(p, args, os.Environ())
		if e == syscall.ENOEXEC {
			e = unix.Exec("/bin/sh", append([]string{"sh", p}, args[1:]...), os.Environ())
		}
		switch e {
		case unix.ENOENT, unix.ENOTDIR:
		case unix.EACCES:
			err = e
		default:
			return e
		}
	}
	return err
}
