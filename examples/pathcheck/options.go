package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
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
	targets  []string
}

const usage = `usage: pathcheck [-dscp af21] [-n 3] [-timeout 5s] [-json] [-4|-6] [-peer] [scheme://]host[:port] ...
       pathcheck -serve host:port

Says what the path to each target does to marked connections. The port is 22
unless given; the scheme, ssh, http, https or wait, is guessed from it.

`

// parseOptions reports bad flags to stderr itself.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{dscp: dscp.AF21}
	flags := flag.NewFlagSet("pathcheck", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.TextVar(&o.dscp, "dscp", dscp.AF21, "the `mark` that you want to use: a name or a number from 0 to 63")
	flags.IntVar(&o.n, "n", 3, "`trials` of each way to mark; more where they disagree")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long one trial may take; below 2s a SYN lost by chance looks like harm")
	flags.BoolVar(&o.json, "json", false, "print every trial and every verdict as a line of JSON")
	flags.BoolVar(&o.ipv4, "4", false, "use IPv4")
	flags.BoolVar(&o.ipv6, "6", false, "use IPv6")
	flags.IntVar(&o.parallel, "parallel", 8, "how many `targets` to check at the same time")
	flags.BoolVar(&o.peer, "peer", false, "the targets are pathcheck -serve: ask them which marks arrive")
	flags.StringVar(&o.serve, "serve", "", "be the far end: listen on `address` and tell which marks arrive")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.targets = flags.Args()
	err := o.check()
	if err != nil {
		fmt.Fprintf(stderr, "pathcheck: %v\n", err)
	}
	return o, err
}

func (o *options) check() error {
	switch {
	case o.serve != "" && (len(o.targets) > 0 || o.peer):
		return errors.New("-serve takes no targets")
	case o.serve == "" && len(o.targets) == 0:
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

// network is "ip", or the version that the user insists on.
func (o *options) network() string {
	switch {
	case o.ipv4:
		return "ip4"
	case o.ipv6:
		return "ip6"
	}
	return "ip"
}
