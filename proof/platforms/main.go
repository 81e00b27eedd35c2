// Command platforms reads logs of tests that ran on other kernels, architectures,
// systems and Go releases, as .ci/kernels, .ci/systems and .ci/go-releases write
// them.
//
//	platforms LOG...         prints a line for each run, with what failed and what was
//	                         skipped and why
//	platforms -table LOG...  prints the table of docs/platforms.md
//
// The exit status is 1 if a run failed or did not end, and 2 if a log cannot be read.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
)

func main() {
	table := flag.Bool("table", false, "print a table in Markdown")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	var logs []platform
	for _, name := range flag.Args() {
		f, err := os.Open(name)
		if err == nil {
			var p platform
			p, err = read(f)
			logs = append(logs, p)
			f.Close()
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "platforms: %s: %v\n", name, err)
			os.Exit(2)
		}
	}
	out := bufio.NewWriter(os.Stdout)
	if *table {
		writeTable(out, logs)
	} else {
		writeReport(out, logs)
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "platforms:", err)
		os.Exit(2)
	}
	for _, p := range logs {
		if p.failed() {
			os.Exit(1)
		}
	}
}
