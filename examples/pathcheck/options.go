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
	from     string   // file with more targets, or - for standard input
	targets  []string // from the command line
}

const usage = `usage: pathcheck [-dscp af21] [-n 3] [-timeout 5s] [-json] [-4|-6] [-parallel 8]
                 [-peer] [-targets file] [scheme://]host[:port] ...
       pathcheck -serve host:port

Tests what the path to each target does to marked connections, and prints which
settings work. The default port is 22. The scheme, ssh, http, https or wait, is by
default that of the port. An IPv6 address with a port is in brackets, with its
zone: [fe80::1%eth0]:22.

Example: pathcheck -dscp ef example.com:443

The exit status is 0 if no harm was seen, 1 if harm was found, 2 if pathcheck could
not tell or failed, or for wrong arguments.

Flags:
`

// parseOptions reads the flags. For -h it prints the usage to stderr and returns
// [flag.ErrHelp].
func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{dscp: dscp.AF21}
	flags := flag.NewFlagSet("pathcheck", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // package flag would print the whole usage after each error
	flags.TextVar(&o.dscp, "dscp", dscp.AF21, "test this `mark`, a DSCP by name or number (1-63), besides others")
	flags.IntVar(&o.n, "n", 3, "make this `number` of trials for each way to mark, or more if they disagree")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Second, "stop a trial after this `duration`; below 2s a SYN lost by chance looks like harm")
	flags.BoolVar(&o.json, "json", false, "print each trial and each verdict as a line of JSON")
	flags.BoolVar(&o.ipv4, "4", false, "use only IPv4")
	flags.BoolVar(&o.ipv6, "6", false, "use only IPv6")
	flags.IntVar(&o.parallel, "parallel", 8, "check this `number` of targets at a time")
	flags.BoolVar(&o.peer, "peer", false, "the targets run pathcheck -serve: ask them which marks arrive")
	flags.StringVar(&o.serve, "serve", "", "listen on this `address` and report to clients which of their marks arrive")
	flags.StringVar(&o.from, "targets", "", "read more targets from this `file`, one per line, # begins a comment; - is standard input")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stderr)
		io.WriteString(stderr, usage)
		flags.PrintDefaults()
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w; try pathcheck -h", err)
	}
	o.targets = flags.Args()
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.serve != "" && (len(o.targets) > 0 || o.peer || o.from != ""):
		return errors.New("-serve takes no targets")
	case o.serve == "" && len(o.targets) == 0 && o.from == "":
		return errors.New("no target; try pathcheck -h")
	case o.dscp == dscp.DF:
		return errors.New("-dscp: want a mark other than DF")
	case o.ipv4 && o.ipv6:
		return errors.New("-4 and -6 cannot be combined")
	case o.n < 1:
		return errors.New("-n: want at least 1")
	case o.timeout <= 0:
		return errors.New("-timeout: want a positive duration")
	case o.parallel < 1:
		return errors.New("-parallel: want at least 1")
	}
	return nil
}

// allTargets returns the targets of the command line, followed by those of -targets.
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

// wants reports whether -4 and -6 allow the address.
func (o *options) wants(a netip.Addr) bool {
	return !o.ipv4 && !o.ipv6 || o.ipv4 == a.Is4()
}

// version returns the name of the IP version of -4 or -6.
func (o *options) version() string {
	if o.ipv4 {
		return "IPv4"
	}
	return "IPv6"
}
