// Publish rehearses a release: it uses the last commit of the checkout as others
// will use the tagged version.
//
//	GOWORK=off go run -C proof ./publish
//
// It makes a module proxy of files, with the modules as they would be published.
// Each step then works in an empty directory with an empty module cache. It finds
// these modules in that proxy alone, and other modules through GOPROXY.
//
//   - A new module imports dscp, runs, and tests with dscptest. It must need no more
//     modules than README promises.
//   - go install installs every program of the other modules, and each starts.
//   - Where a version is tagged already, the exported API is compared with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/godscp/godscp/proof/internal/checkout"
)

// library is the path of the library's module.
const library = "github.com/godscp/godscp"

// dirs has the directories of the published modules. All are tagged on one commit
// with one version: the one that the examples require of the library.
var dirs = []string{
	".",
	"examples",
	"dscpvet",
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	root, err := checkout.Root(ctx)
	if err != nil {
		return err
	}
	if changed, err := output(ctx, root, nil, "git", "status", "--porcelain"); err != nil {
		return err
	} else if changed != "" {
		fmt.Printf("not committed, so not tested:\n%s\n", changed)
	}
	tmp, err := os.MkdirTemp("", "publish")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()

	tree := filepath.Join(tmp, "tree")
	if err := extract(ctx, root, "HEAD", tree); err != nil {
		return err
	}
	modules, err := readModules(filepath.Join(tree, "examples", "go.mod"))
	if err != nil {
		return err
	}
	p := proxy{tree: tree, dir: filepath.Join(tmp, "proxy")}
	for _, m := range modules {
		if err := p.add(m); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	upstream, err := output(ctx, root, nil, "go", "env", "GOPROXY")
	if err != nil {
		return err
	}
	c := client{dir: tmp, proxy: p.url() + "," + upstream}
	begin := time.Now()
	said := func(format string, args ...any) {
		fmt.Printf("%5.1fs  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
	listed, err := c.stranger(ctx, modules[0])
	if err != nil {
		return fmt.Errorf("a new module that imports dscp: %w", err)
	}
	said("a new module imports dscp, runs and passes its test; go list -m all:")
	for _, m := range listed {
		fmt.Println("          ", m)
	}
	for _, m := range modules {
		programs, err := m.programs(tree)
		if err != nil {
			return err
		}
		for _, program := range programs {
			if err := c.install(ctx, program, m.version); err != nil {
				return fmt.Errorf("go install %s@%s: %w", program, m.version, err)
			}
			said("go install %s@%s", program, m.version)
		}
		summary, err := m.compareAPI(ctx, root, tmp)
		if err != nil {
			return fmt.Errorf("the exported API of %s: %w", m.path, err)
		}
		said("the exported API of %s: %s", m.path, summary)
	}
	return nil
}
