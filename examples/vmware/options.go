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

// models are what a box is made of.
var models = map[string][]dscptest.Model{
	natVMware: {dscptest.VMware},
	natNone:   nil,
}

// boxes says what a box is.
var boxes = map[string]string{
	natVMware: "a model of VMware's NAT, which resets a flow whose IP precedence changes",
	natNone:   "a relay that forwards everything",
}

const usage = `usage: vmware [-nat vmware|none] [-4] [-json] [-v] [-svg dir] [-pcap dir]
       vmware -target host:port [-4] [-json]

Runs right and wrong ways to mark a TCP connection through a model of VMware's
NAT, all on loopback, and prints what became of each. With -target it runs
those that need nothing but an HTTP server over your own network instead.

`

// parseOptions reports errors on stderr itself.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("vmware", flag.ContinueOnError)
	flags.StringVar(&o.nat, "nat", natVMware, "the box: `vmware`, or none for one that forwards everything")
	flags.BoolVar(&o.ipv4, "4", false, "use IPv4 (default: IPv6; with -target, what the host has)")
	flags.BoolVar(&o.json, "json", false, "print one JSON object per row, and nothing else, to standard output")
	flags.BoolVar(&o.verbose, "v", false, "show the last good and the fatal segment of each reset")
	flags.StringVar(&o.svg, "svg", "", "draw the flow of each row into this `directory`")
	flags.StringVar(&o.pcap, "pcap", "", "write the flow of each row into this `directory`, for Wireshark: packets made from the box's record")
	flags.StringVar(&o.target, "target", "", "no box: talk to the HTTP server at `host:port` over your own network")
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
		return errors.New("-nat, -v, -svg and -pcap are about the box, and with -target there is none")
	}
	if host, port, err := net.SplitHostPort(o.target); err != nil || host == "" || port == "" {
		return fmt.Errorf("-target %q: want host:port", o.target)
	}
	return nil
}
