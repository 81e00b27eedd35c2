// Mutate breaks every rule of packages dialer, dscp and internal/tos on purpose, one
// at a time, and shows which test fails:
//
//	GOWORK=off go run -C proof ./mutate
//
// Each mutation is one replacement in one file. The go command builds the
// package's tests with -overlay, so the sources are never changed. The test that
// should find the fault runs first; if it passes, all tests of the file's package
// and of package dscp run. A mutation that no test finds survives, and is an error.
//
// Before the first test it compares the whole table with the sources, which may have
// changed; with -check it does nothing else.
//
// The result is a table in Markdown on the standard output.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/godscp/godscp/proof/internal/checkout"
)

func main() {
	pattern := flag.String("run", "", "only the mutations whose rule, change or file the `regexp` matches")
	parallel := flag.Int("p", 1, "how many mutations to try at once")
	list := flag.Bool("list", false, "list the mutations and do nothing else")
	only := flag.Bool("check", false, "compare the table with the sources and do nothing else")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *pattern, *parallel, *list, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pattern string, parallel int, list, only bool) error {
	chosen, err := choose(table, pattern)
	if err != nil {
		return err
	}
	if list {
		for _, m := range chosen {
			fmt.Printf("%s: %s: %s (%s in %s)\n", m.part, m.rule, m.how, m.test, m.file)
		}
		return nil
	}
	root, err := checkout.Root(ctx)
	if err != nil {
		return err
	}
	if err := check(root, table); err != nil {
		return fmt.Errorf("the table does not fit the sources:\n%w", err)
	}
	if only {
		return nil
	}
	l, err := newLab(root)
	if err != nil {
		return err
	}
	defer l.close()
	begin := time.Now()
	if err := l.baseline(ctx, chosen); err != nil {
		return err
	}
	results := l.tryAll(ctx, chosen, parallel)
	if err := ctx.Err(); err != nil {
		return err
	}
	writeMarkdown(os.Stdout, results)
	fmt.Fprintf(os.Stderr, "%d mutations in %v\n", len(results), time.Since(begin).Round(time.Second))
	return wrong(results)
}

// choose returns the mutations that the pattern matches.
func choose(all []mutation, pattern string) ([]mutation, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var chosen []mutation
	for _, m := range all {
		if re.MatchString(m.part + ": " + m.rule + ": " + m.how + " in " + m.file) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no mutation matches %q", pattern)
	}
	return chosen, nil
}
