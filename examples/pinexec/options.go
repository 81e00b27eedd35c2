package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/class"
	"github.com/godscp/godscp/examples/internal/pinexec"
)

const usage = `usage: pinexec [-strict] [-nat-safe] [-v] MARK COMMAND [ARG...] (pinexec -h explains)`

const help = `usage: pinexec [-strict] [-nat-safe] [-v] MARK COMMAND [ARG...]
       pinexec [-strict] [-nat-safe] [-v] -class interactive|bulk [-ipqos "af21 cs1"] COMMAND [ARG...]

Runs COMMAND so that each Internet socket of it, and of what it starts, carries
MARK from the first packet on, and keeps it. MARK is a DSCP: AF21, 18, 0x12.

Not held: marks that go with single datagrams (QUIC), sockets in other network
namespaces, sockets that come from outside, raw and ping sockets. COMMAND cannot
gain privileges (sudo, su), and has no io_uring and no Multipath TCP.

  -strict          setting another mark fails with EPERM, instead of being ignored
  -nat-safe        use a mark with IP precedence zero instead, for networks behind
                   VMware's NAT and its like
  -v, -v=FILE      write a line for each socket to standard error, or to FILE
  -class CLASS     take MARK from -ipqos: interactive or bulk
  -ipqos "A B"     marks for interactive sessions and for bulk, as OpenSSH's IPQoS

The exit status is COMMAND's, or 125 if pinexec failed, 126 if COMMAND cannot be
run, 127 if it was not found. Linux 5.19 or newer on amd64 and arm64.
`

// parseOptions returns flag.ErrHelp where help is asked for.
func parseOptions(args []string) (o pinexec.Options, err error) {
	var natSafe bool
	var from class.Class
	var ipqos dscp.IPQoS
	fs := flag.NewFlagSet("pinexec", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&o.Strict, "strict", false, "")
	fs.BoolVar(&natSafe, "nat-safe", false, "")
	fs.Var((*verbose)(&o), "v", "")
	fs.TextVar(&from, "class", class.Interactive, "")
	fs.TextVar(&ipqos, "ipqos", dscp.OpenSSH78, "")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	args = fs.Args()
	classed := false
	fs.Visit(func(f *flag.Flag) { classed = classed || f.Name == "class" || f.Name == "ipqos" })
	if classed {
		o.Mark = from.Of(ipqos)
	} else {
		if len(args) == 0 {
			return o, errors.New("no mark and no command")
		}
		if o.Mark, err = dscp.Parse(args[0]); err != nil {
			return o, fmt.Errorf("invalid mark: %w", err)
		}
		args = args[1:]
	}
	if natSafe {
		o.Mark = o.Mark.NATSafe()
	}
	if len(args) == 0 {
		return o, errors.New("no command")
	}
	o.Command = args
	return o, nil
}

// verbose is the value of -v, which needs none.
type verbose pinexec.Options

func (v *verbose) IsBoolFlag() bool { return true }
func (v *verbose) String() string   { return "" }

func (v *verbose) Set(s string) error {
	on, err := strconv.ParseBool(s)
	v.Verbose, v.Log = on, ""
	if err != nil {
		v.Verbose, v.Log = true, s
	}
	return nil
}
