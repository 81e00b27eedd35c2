package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/godscp/godscp/dscp"
)

// options are the flags.
type options struct {
	dscp     dscp.CodePoint
	n        int
	timeout  time.Duration
	json     bool
	ipv4     bool
	ipv6     bool
	parallel int
	peer     bool
	serve    string
	from     string   // a file with more targets, or - for standard input
	targets  []string // of the command line
}

const usage = `usage: pathcheck [-dscp af21] [-n 3] [-timeout 5s] [-json] [-4|-6] [-peer] [-targets file] [scheme://]host[:port] ...
       pathcheck -serve host:port

Says what the path to each target does to marked connections. The port is 22
unless given; the scheme, ssh, http, https or wait, is guessed from it. An IPv6
address with a port stands in brackets, a zone within them: [fe80::1%eth0]:22.

`

// parseOptions reads the flags. It prints the usage to stderr if that is asked
// for, and returns [flag.ErrHelp] then.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{dscp: dscp.AF21}
	flags := flag.NewFlagSet("pathcheck", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // package flag would print the usage below each error, and the error would scroll away
	flags.TextVar(&o.dscp, "dscp", dscp.AF21, "the `mark` that you want to use: a name or a number from 0 to 63")
	flags.IntVar(&o.n, "n", 3, "`trials` of each way to mark; more where they disagree")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long one trial may take; below 2s a SYN lost by chance looks like harm")
	flags.BoolVar(&o.json, "json", false, "print every trial and every verdict as a line of JSON")
	flags.BoolVar(&o.ipv4, "4", false, "use IPv4")
	flags.BoolVar(&o.ipv6, "6", false, "use IPv6")
	flags.IntVar(&o.parallel, "parallel", 8, "how many `targets` to check at the same time")
	flags.BoolVar(&o.peer, "peer", false, "the targets are pathcheck -serve: ask them which marks arrive")
	flags.StringVar(&o.serve, "serve", "", "be the far end: listen on `address` and tell which marks arrive")
	flags.StringVar(&o.from, "targets", "", "read more targets from a `file`, one a line, # begins a comment; - is standard input")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stderr)
		io.WriteString(stderr, usage)
		flags.PrintDefaults()
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w; try pathcheck -help", err)
	}
	o.targets = flags.Args()
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.serve != "" && (len(o.targets) > 0 || o.peer || o.from != ""):
		return errors.New("-serve takes no targets")
	case o.serve == "" && len(o.targets) == 0 && o.from == "":
		return errors.New("no target; try pathcheck -help")
	case o.dscp == dscp.DF:
		return errors.New("-dscp: DF is no mark to check")
	case o.ipv4 && o.ipv6:
		return errors.New("-4 and -6 exclude one another")
	case o.n < 1:
		return errors.New("-n: at least one trial is needed")
	case o.timeout <= 0:
		return errors.New("-timeout must be positive")
	case o.parallel < 1:
		return errors.New("-parallel: at least one")
	}
	return nil
}

// allTargets returns the targets of the command line, and those of -targets
// behind them.
func (o *options) allTargets(stdin io.Reader) ([]target, error) {
	var all []target
	for _, text := range o.targets {
		t, err := parseTarget(text, o.peer)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	if o.from == "" {
		return all, nil
	}
	name, list := "standard input", stdin
	if o.from != "-" {
		f, err := os.Open(o.from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		name, list = o.from, f
	}
	more, err := readTargets(list, o.peer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if all = append(all, more...); len(all) == 0 {
		return nil, fmt.Errorf("%s: no target", name)
	}
	return all, nil
}

// wants reports whether an address is of the version that the user insists on.
func (o *options) wants(a netip.Addr) bool {
	return !o.ipv4 && !o.ipv6 || o.ipv4 == a.Is4()
}

// version names the version of IP that the user insists on.
func (o *options) version() string {
	if o.ipv4 {
		return "IPv4"
	}
	return "IPv6"
}
