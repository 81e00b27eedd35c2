package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"

	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/cli"
)

// options are the flags.
type options struct {
	nat     string
	ipv4    bool
	json    bool
	verbose bool
	target  string
	svg     string
	pcap    string
}

// The values of -nat.
const (
	natVMware = "vmware"
	natNone   = "none"
)

// models are the models of a box, by -nat.
var models = map[string][]dscptest.Model{
	natVMware: {dscptest.VMware},
	natNone:   nil,
}

// boxes describes a box, by -nat.
var boxes = map[string]string{
	natVMware: "a model of VMware's NAT, which resets a flow whose IP precedence changes",
	natNone:   "a relay that forwards everything",
}

const usage = `usage: vmware [-nat vmware|none] [-4] [-json] [-v] [-svg dir] [-pcap dir]
       vmware -target host:port [-4] [-json]

Runs right and wrong ways to mark a TCP connection through a model of VMware's
NAT, on loopback, and prints the result of each. With -target it runs the ways
that need only an HTTP server, over your network.

Example: vmware -target example.com:80

The exit status is 0 if all rows are as expected, 1 if not or if the program
failed, 2 for wrong flags, 130 after an interrupt.

Flags:
`

// parseOptions prints errors, and the usage for -h, to stderr.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("vmware", flag.ContinueOnError)
	flags.StringVar(&o.nat, "nat", natVMware, "the `box`: vmware, or none for a box that forwards everything")
	flags.BoolVar(&o.ipv4, "4", false, "use IPv4 (default IPv6; with -target, either)")
	flags.BoolVar(&o.json, "json", false, "print one JSON object per row to standard output, and the other text to standard error")
	flags.BoolVar(&o.verbose, "v", false, "print the last good and the fatal segment of each reset")
	flags.StringVar(&o.svg, "svg", "", "write a drawing of each row's flow into this `directory`")
	flags.StringVar(&o.pcap, "pcap", "", "write each row's flow into this `directory`, for Wireshark, as packets made from the box's record")
	flags.StringVar(&o.target, "target", "", "use the HTTP server at `host:port` over your network, and no box")
	if err := cli.Parse(flags, usage, args, stderr); err != nil {
		return o, err
	}
	if err := o.check(flags); err != nil {
		return o, cli.Refuse(flags, stderr, err)
	}
	return o, nil
}

func (o *options) check(flags *flag.FlagSet) error {
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if _, ok := models[o.nat]; !ok {
		return fmt.Errorf("-nat %q: want vmware or none", o.nat)
	}
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["target"] {
		return nil
	}
	if given["nat"] || o.verbose || o.svg != "" || o.pcap != "" {
		return errors.New("-nat, -v, -svg and -pcap need the box, and with -target there is none")
	}
	if host, port, err := net.SplitHostPort(o.target); err != nil || host == "" || port == "" {
		return fmt.Errorf("-target %q: want host:port", o.target)
	}
	return nil
}
