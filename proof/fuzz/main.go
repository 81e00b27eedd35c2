// Command fuzz runs every fuzz target of the library and of the examples for a
// while:
//
//	GOWORK=off go run -C proof ./fuzz -for 10m
//	GOWORK=off go run -C proof ./fuzz -for 30s -p 2 ./dscp/...
//
// The packages are relative to the root of the checkout.
//
// It prints a table of the targets: how often each ran, how many inputs it found
// that reach new code, and whether an input made it fail. Package testing writes
// such an input below testdata/fuzz. The exit status is 1 if there was one.
//
// With -keep it then copies some of the inputs from Go's cache to testdata/fuzz,
// where every go test runs them; with -for 0 it does nothing else.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/godscp/godscp/proof/internal/checkout"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	long     time.Duration
	parallel int
	match    string
	keep     int
	packages []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&o.long, "for", 30*time.Second, "how `long` to run each target")
	flags.IntVar(&o.parallel, "p", 2, "how many `targets` to run at the same time, each with one worker")
	flags.StringVar(&o.match, "run", "^Fuzz", "`regexp` that the names of the targets match")
	flags.IntVar(&o.keep, "keep", 0, "copy inputs from Go's cache to testdata/fuzz, up to `files` for each target")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if o.packages = flags.Args(); len(o.packages) == 0 {
		o.packages = []string{"./...", "./examples/..."}
	}
	if o.parallel < 1 || o.long < 0 || o.long == 0 && o.keep == 0 {
		fmt.Fprintln(stderr, "fuzz: -for and -p must be positive")
		return 2
	}
	binaries, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		fmt.Fprintln(stderr, "fuzz:", err)
		return 2
	}
	defer os.RemoveAll(binaries)
	targets, err := list(ctx, o, binaries)
	if err == nil && len(targets) == 0 {
		err = fmt.Errorf("no fuzz target in %s matches %s", strings.Join(o.packages, " "), o.match)
	}
	if err != nil {
		fmt.Fprintln(stderr, "fuzz:", err)
		return 2
	}
	var outcomes []outcome
	if o.long > 0 {
		begin := time.Now()
		outcomes = runAll(ctx, o, targets, stderr)
		report(stdout, outcomes)
		fmt.Fprintf(stdout, "\n%d targets, %v each, %d at a time: %v\n", len(targets), o.long, o.parallel, time.Since(begin).Round(time.Second))
	}
	if o.keep > 0 {
		if err := keepAll(o.keep, targets, stdout); err != nil {
			fmt.Fprintln(stderr, "fuzz:", err)
			return 2
		}
	}
	for _, r := range outcomes {
		if r.err != nil {
			return 1
		}
	}
	return 0
}

// A target is one fuzz function.
type target struct {
	pkg    string // import path
	dir    string
	name   string
	binary string
	cache  string // the go command's directory for inputs of the package
}

// list compiles the packages that have targets, into the directory binaries, and
// returns the targets. The go command would link each target again.
func list(ctx context.Context, o options, binaries string) ([]target, error) {
	root, err := checkout.Root(ctx)
	if err != nil {
		return nil, err
	}
	cache, err := output(ctx, root, "go", "env", "GOCACHE")
	if err != nil {
		return nil, err
	}
	packages, err := output(ctx, root, append([]string{"go", "list", "-f", "{{.ImportPath}} {{.Dir}}"}, o.packages...)...)
	if err != nil {
		return nil, err
	}
	var targets []target
	for line := range strings.Lines(packages) {
		t := target{binary: filepath.Join(binaries, fmt.Sprint(len(targets), ".test"))}
		t.pkg, t.dir, _ = strings.Cut(strings.TrimSpace(line), " ")
		t.cache = filepath.Join(strings.TrimSpace(cache), "fuzz", filepath.FromSlash(t.pkg))
		if has, err := hasTargets(t.dir); err != nil {
			return nil, err
		} else if !has {
			continue
		}
		if _, err := output(ctx, root, "go", "test", "-c", "-fuzz", "^Fuzz", "-o", t.binary, t.pkg); err != nil {
			return nil, err
		}
		names, err := output(ctx, t.dir, t.binary, "-test.list", o.match)
		if err != nil {
			return nil, err
		}
		for name := range strings.Lines(names) {
			if t.name = strings.TrimSpace(name); strings.HasPrefix(t.name, "Fuzz") {
				targets = append(targets, t)
			}
		}
	}
	return targets, nil
}

// hasTargets reports whether a test file in dir has a fuzz function.
func hasTargets(dir string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return false, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		if bytes.Contains(text, []byte("\nfunc Fuzz")) {
			return true, nil
		}
	}
	return false, nil
}

// output runs a command in dir and returns what it prints.
func output(ctx context.Context, dir string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, checkout.Workspace()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// runAll runs the targets, a few at a time, and prints to stderr what has ended.
func runAll(ctx context.Context, o options, targets []target, stderr io.Writer) []outcome {
	outcomes := make([]outcome, len(targets))
	room := make(chan struct{}, o.parallel)
	var all sync.WaitGroup
	var printing sync.Mutex
	for i, t := range targets {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			outcomes[i] = fuzz(ctx, o.long, t)
			printing.Lock()
			defer printing.Unlock()
			fmt.Fprintf(stderr, "%s %s: %d executions\n", t.pkg, t.name, outcomes[i].executions)
			if outcomes[i].err != nil {
				fmt.Fprintf(stderr, "%v\n%s\n", outcomes[i].err, outcomes[i].log)
			}
		})
	}
	all.Wait()
	return outcomes
}

// fuzz runs one target.
func fuzz(ctx context.Context, long time.Duration, t target) outcome {
	// 100 attempts to make an input smaller: the default is a minute for each
	// input, and keep chooses inputs by size anyway.
	cmd := exec.CommandContext(ctx, t.binary, "-test.run", "^$", "-test.fuzz", "^"+t.name+"$", "-test.fuzztime", long.String(),
		"-test.fuzzminimizetime", "100x", "-test.parallel", "1", "-test.fuzzcachedir", t.cache, "-test.paniconexit0")
	cmd.Dir = t.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	text, err := cmd.CombinedOutput()
	if err != nil && ranOut(string(text)) {
		err = nil
	}
	r := parse(string(text))
	r.target, r.err, r.log = t, err, string(text)
	return r
}

// report prints the table.
func report(w io.Writer, outcomes []outcome) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "package\ttarget\texecutions\tnew inputs\tcrashes")
	for _, r := range outcomes {
		crashes := 0
		if r.err != nil {
			crashes = 1
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\n", r.target.short(), r.target.name, r.executions, r.fresh, crashes)
	}
	tw.Flush()
}

// short returns the package's path within the checkout.
func (t target) short() string {
	_, short, _ := strings.Cut(t.pkg, "/godscp/godscp/")
	return short
}
