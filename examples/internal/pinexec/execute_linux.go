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

// execute becomes the program, under a filter. It returns if it cannot.
func execute(o Options) (status int, err error) {
	// The filter is for this thread and for what it starts.
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

// try does all but execute a program.
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

// find returns where execvp(3) would look for the program, if it is at one of
// these places and can be run from there.
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
	return "/bin:/usr/bin" // as execvp(3) has it
}

// become executes the program as execvp(3) does: the first of the paths that can
// be run, and a file that is no program by the shell.
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
