package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed testdata/stranger
var strangers embed.FS

// A client runs the go command with a proxy, and nothing else from this machine.
type client struct {
	dir   string // parent of a new directory for each step
	proxy string
}

// fresh makes an empty directory and returns it with the environment for commands
// there: no workspace, an empty module cache and an empty GOBIN.
func (c client) fresh() (dir string, env []string, err error) {
	if dir, err = os.MkdirTemp(c.dir, "client"); err != nil {
		return "", nil, err
	}
	work := filepath.Join(dir, "work")
	return work, []string{
		"GOWORK=off", "GOPROXY=" + c.proxy,
		"GOPRIVATE=", "GONOPROXY=none", "GONOSUMDB=" + library, // the proxy of files signs nothing
		"GOFLAGS=-modcacherw -buildvcs=false",
		"GOPATH=" + filepath.Join(dir, "go"), "GOMODCACHE=" + filepath.Join(dir, "go", "pkg", "mod"), "GOBIN=" + filepath.Join(dir, "bin"),
	}, os.Mkdir(work, 0o755)
}

// stranger makes a module that imports the library, runs it, and returns the output
// of go list -m all.
func (c client) stranger(ctx context.Context, m module) ([]string, error) {
	dir, env, err := c.fresh()
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(strangers, "testdata/stranger")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return nil, err
	}
	for _, command := range []string{
		"go mod init example.com/stranger",
		"go get " + m.path + "/dscp@" + m.version,
		"go mod tidy",
		"go vet ./...",
		"go test ./...",
	} {
		if _, err := output(ctx, dir, env, strings.Fields(command)...); err != nil {
			return nil, err
		}
	}
	if said, err := output(ctx, dir, env, "go", "run", "."); err != nil {
		return nil, err
	} else if said != "AF21 AF21" {
		return nil, fmt.Errorf("the program printed %q, not the marks of both ends", said)
	}
	deps, err := output(ctx, dir, env, "go", "list", "-deps", "-test", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...")
	if err != nil {
		return nil, err
	}
	listed, err := output(ctx, dir, env, "go", "list", "-m", "all")
	if err != nil {
		return nil, err
	}
	known := slices.Concat(linked, required)
	for _, path := range required {
		more, err := c.requires(ctx, dir, env, path)
		if err != nil {
			return nil, err
		}
		known = append(known, more...)
	}
	return strings.Split(listed, "\n"), errors.Join(
		onlyKnown("go list -deps", paths(deps), linked),
		onlyKnown("go list -m all", paths(listed), known),
	)
}

// requires returns the requirements of a module, at the version that is selected in
// dir.
func (c client) requires(ctx context.Context, dir string, env []string, path string) ([]string, error) {
	out, err := output(ctx, dir, env, "go", "mod", "download", "-json", path)
	if err != nil {
		return nil, err
	}
	var m struct{ GoMod string }
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(m.GoMod)
	if err != nil {
		return nil, err
	}
	return requires(text)
}

// install installs a program and runs it with -h.
func (c client) install(ctx context.Context, program, version string) error {
	dir, env, err := c.fresh()
	if err != nil {
		return err
	}
	if _, err := output(ctx, dir, env, "go", "install", program+"@"+version); err != nil {
		return err
	}
	// Some programs exit with an error after -h.
	said, err := exec.CommandContext(ctx, filepath.Join(filepath.Dir(dir), "bin", path.Base(program)), "-h").CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !exit.Exited()) || len(said) == 0 {
		return fmt.Errorf("%s -h: %v: output %q", path.Base(program), err, said)
	}
	return nil
}
