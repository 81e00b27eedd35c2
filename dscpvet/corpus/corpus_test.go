// Package corpus runs dscpvet on published modules and compares its findings with a
// list that a reader checked by hand. It downloads and compiles many modules, so it
// runs only if DSCPVET_CORPUS is set:
//
//	DSCPVET_CORPUS=all go test -v -timeout 2h ./corpus
//	DSCPVET_CORPUS=kcp-go go test -v ./corpus
//
// The second form runs the modules whose path contains the word.
package corpus

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A module is one entry of a list: a module at a version, the directories to check,
// and the findings there.
type module struct {
	path, version string
	dirs          []string // relative; empty: those that have to do with marks
	requires      []string // for a module without a go.mod: module@version
	findings      []finding
}

// A finding is one expected diagnostic, and a reader's verdict on it.
type finding struct {
	file  string
	line  int
	check string
	right bool
	note  string
}

func (f finding) key() string { return fmt.Sprintf("%s:%d %s", f.file, f.line, f.check) }

// defaultChecks are those that are on without a flag.
var defaultChecks = []string{"late", "escape", "level", "unit", "dropped", "family", "mptcp"}

// TestKnown checks the modules that the checks were developed with: no finding, or
// right ones.
func TestKnown(t *testing.T) { run(t, "known.txt") }

// TestHeldOut checks modules that were not read while the checks were developed.
func TestHeldOut(t *testing.T) { run(t, "heldout.txt") }

func run(t *testing.T, list string) {
	want := os.Getenv("DSCPVET_CORPUS")
	if want == "" {
		t.Skip("DSCPVET_CORPUS is not set")
	}
	tool := filepath.Join(t.TempDir(), "dscpvet")
	// A fresh build ID keeps the go command from reusing results, so that the
	// times are those of the analysis.
	id := "-ldflags=-buildid=" + strconv.FormatInt(time.Now().UnixNano(), 36)
	build := exec.Command("go", "build", id, "-o", tool, "github.com/godscp/godscp/dscpvet/cmd/dscpvet")
	build.Env = append(os.Environ(), "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	var right, wrong [2]int // by default, in all
	var cpu time.Duration
	for _, m := range parse(t, list) {
		if want != "all" && !strings.Contains(m.path, want) {
			continue
		}
		t.Run(m.path, func(t *testing.T) {
			found, took := vet(t, tool, m)
			cpu += took
			expected := make(map[string]finding)
			for _, f := range m.findings {
				expected[f.key()] = f
			}
			for _, f := range found {
				e, ok := expected[f.key()]
				if !assert.True(t, ok, "not in %s: %s\n\t%s", list, f.key(), f.note) {
					continue
				}
				delete(expected, f.key())
				counts := &wrong
				if e.right {
					counts = &right
				}
				counts[1]++
				if slices.Contains(defaultChecks, f.check) {
					counts[0]++
				}
			}
			for key := range expected {
				assert.Fail(t, "missing: "+key)
			}
			t.Logf("%d findings, %.1f s of CPU", len(found), took.Seconds())
		})
	}
	for i, name := range []string{"checks that are on by default", "all checks"} {
		if n := right[i] + wrong[i]; n > 0 {
			t.Logf("%s: %d of %d findings right, precision %.3f", name, right[i], n, float64(right[i])/float64(n))
		}
	}
	t.Logf("%.0f s of CPU in all", cpu.Seconds())
}

// parse reads a list. A line without indentation has a module, its version and
// optional directories and requirements; an indented line is a finding: file:line,
// check, right or wrong, and a note.
func parse(t *testing.T, list string) []module {
	f, err := os.Open(list)
	require.NoError(t, err)
	defer f.Close()
	var all []module
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0][0] == '#':
		case line[0] != '\t' && line[0] != ' ':
			m := module{path: fields[0], version: fields[1]}
			for _, f := range fields[2:] {
				if strings.Contains(f, "@") {
					m.requires = append(m.requires, f)
				} else {
					m.dirs = append(m.dirs, f)
				}
			}
			all = append(all, m)
		default:
			file, number, ok := strings.Cut(fields[0], ":")
			require.True(t, ok && len(fields) >= 3, "%s: %q", list, line)
			n, err := strconv.Atoi(number)
			require.NoError(t, err)
			require.Contains(t, []string{"right", "wrong"}, fields[2], line)
			last := &all[len(all)-1]
			last.findings = append(last.findings, finding{file, n, fields[1], fields[2] == "right", strings.Join(fields[3:], " ")})
		}
	}
	return all
}

// vet runs all checks on a module. The time is that of go vet with all packages
// compiled before.
func vet(t *testing.T, tool string, m module) ([]finding, time.Duration) {
	dir, args := source(t, m)
	dirs := m.dirs
	if len(dirs) == 0 {
		dirs = marking(t, dir)
	}
	if len(dirs) == 0 {
		return nil, 0
	}
	goCommand := func(arg ...string) ([]byte, time.Duration, error) {
		cmd := exec.Command("go", arg...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if err != nil {
			err = fmt.Errorf("go %s: %w\n%s", arg[0], err, stderr.Bytes())
		}
		return stdout.Bytes(), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
	}
	_, _, err := goCommand(slices.Concat([]string{"list", "-e", "-export", "-deps"}, args, dirs)...)
	require.NoError(t, err)
	out, took, err := goCommand(slices.Concat([]string{"vet", "-json", "-vettool=" + tool, "-dscpvet.all"}, args, dirs)...)
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && len(out) > 0) {
		require.NoError(t, err)
	}
	return findings(t, dir, out), took
}

// source returns a directory with the source of a module, and the arguments with
// which the go command does not change it. The module std is the standard library.
func source(t *testing.T, m module) (dir string, args []string) {
	if m.path == "std" {
		out, err := exec.Command("go", "env", "GOROOT").Output()
		require.NoError(t, err)
		return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
	}
	cmd := exec.Command("go", "mod", "download", "-json", m.path+"@"+m.version)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	require.NoError(t, err, string(out))
	var got struct{ Dir, GoMod string }
	require.NoError(t, json.Unmarshal(out, &got))

	tmp := t.TempDir()
	if _, err := os.Stat(filepath.Join(got.Dir, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		// It is older than modules.
		require.NoError(t, os.CopyFS(tmp, os.DirFS(got.Dir)))
		mod := "module " + m.path + "\n\ngo 1.26\n"
		for _, r := range m.requires {
			mod += "require " + strings.Replace(r, "@", " ", 1) + "\n"
		}
		require.NoError(t, os.WriteFile(filepath.Join(tmp, "go.mod"), []byte(mod), 0o644))
		return tmp, []string{"-mod=mod"}
	}

	// The go command may add lines to go.mod and go.sum: it gets copies.
	mod, err := os.ReadFile(got.GoMod)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(tmp, "go.mod"), mod, 0o644))
	if sum, err := os.ReadFile(filepath.Join(got.Dir, "go.sum")); err == nil {
		require.NoError(t, os.WriteFile(filepath.Join(tmp, "go.sum"), sum, 0o644))
	}
	return got.Dir, []string{"-mod=mod", "-modfile=" + filepath.Join(tmp, "go.mod")}
}

var words = regexp.MustCompile(`TOS|\bTos|Tos\b|\btos\b|(?i:sockopt|dscp|traffic_?class|tclass)|"golang.org/x/net/ipv[46]"`)

// marking returns the directories whose packages contain a word about marks or
// socket options.
func marking(t *testing.T, root string) []string {
	var dirs []string
	context := build.Default
	context.GOOS, context.CgoEnabled = "linux", false
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		name := d.Name()
		if path != root && (name == "testdata" || name == "vendor" || name == "cmd" && strings.HasSuffix(root, "/src") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
			return fs.SkipDir
		}
		pkg, err := context.ImportDir(path, 0)
		if err != nil {
			return nil // no Go files for this system
		}
		for _, file := range pkg.GoFiles {
			source, err := os.ReadFile(filepath.Join(path, file))
			if err != nil {
				return err
			}
			if words.Match(source) {
				rel, err := filepath.Rel(root, path)
				dirs = append(dirs, "./"+filepath.ToSlash(rel))
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	return dirs
}

// findings reads the output of go vet -json.
func findings(t *testing.T, dir string, out []byte) []finding {
	var all []finding
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var packages map[string]map[string]json.RawMessage
		require.NoError(t, d.Decode(&packages), string(out))
		for _, analyzers := range packages {
			for _, raw := range analyzers {
				var diagnostics []struct{ Posn, Message string }
				require.NoError(t, json.Unmarshal(raw, &diagnostics), string(raw))
				for _, d := range diagnostics {
					parts := strings.Split(d.Posn, ":")
					line, err := strconv.Atoi(parts[1])
					require.NoError(t, err)
					rel, err := filepath.Rel(dir, parts[0])
					require.NoError(t, err)
					check, message, _ := strings.Cut(d.Message, ":")
					all = append(all, finding{file: filepath.ToSlash(rel), line: line, check: check, note: message})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b finding) int { return strings.Compare(a.key(), b.key()) })
	return slices.CompactFunc(all, func(a, b finding) bool { return a.key() == b.key() })
}
