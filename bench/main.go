// Command bench compares godscp to its alternatives, all in one run, and prints tables of
// ratios as Markdown:
//
//	GOWORK=off go run -C bench .                              # from the root of the repository
//	GOWORK=off go run -C bench . -o ../docs/performance.md    # writes them into the document
//	GOWORK=off go run -C bench . -run dial -rounds 50
//
// It is a separate module, so that the libraries that it compares are not in the go.sum of
// the library's users. It runs on Linux and needs no privilege. It counts system calls with
// strace; without strace those columns are "not counted".
//
// Each round measures all rows of a table once, in a random order, and rows are compared
// round by round. A ratio is the median of all rounds with its 95 % interval. Rows that
// compare a thing with itself show the noise of the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	runChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A section is a part of the document.
type section struct {
	name, title string
	measure     func(b *bench) (markdown string, err error)
}

var sections = []section{
	{"dial", "Dial and close", measureDial},
	{"accept", "Accept", measureAccept},
	{"memory", "Open connections", measureMemory},
	{"copy", "Read, write and copy", measureCopy},
	{"setdscp", "A refused change", measureSetDSCP},
	{"lab", "Middleboxes of dscptest", measureLab},
}

// A result is the output of a section.
type result struct{ name, title, markdown string }

// A bench has what all sections share.
type bench struct {
	ctx context.Context
	scale
	strace *tracer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("run", "", "measure the sections that match this `regexp`: dial, accept, memory, copy, setdscp, lab")
	rounds := flags.Int("rounds", 0, "number of rounds (default 800)")
	quick := flags.Bool("quick", false, "make tiny measurements, to check that everything works")
	output := flags.String("o", "", "write the tables into this `document`, between its marks, instead of printing them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, scale: full}
	if *quick {
		b.scale = tiny
	}
	if *rounds > 0 {
		b.rounds = *rounds
	}
	b.strace = newTracer(ctx, b.fewCalls, b.manyCalls)
	var results []result
	for _, s := range sections {
		if !wanted.MatchString(s.name) {
			continue
		}
		begin := time.Now()
		markdown, err := s.measure(b)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(stderr, "%s: %v\n", s.name, time.Since(begin).Round(time.Second))
		results = append(results, result{s.name, s.title, markdown})
	}
	if *output != "" {
		return update(*output, results)
	}
	for _, r := range results {
		fmt.Fprintf(stdout, "## %s\n\n%s\n", r.title, r.markdown)
	}
	return nil
}
