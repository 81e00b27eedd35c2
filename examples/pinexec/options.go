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

const usage = `usage: pinexec [-strict] [-nat-safe] [-v] MARK COMMAND [ARG...]
Try "pinexec -h".`

const help = `usage: pinexec [-strict] [-nat-safe] [-v] MARK COMMAND [ARG...]
       pinexec [-strict] [-nat-safe] [-v] -class interactive|bulk [-ipqos "af21 cs1"] COMMAND [ARG...]

Runs COMMAND and gives MARK to all Internet sockets of COMMAND and of the
processes that it starts, from the first packet to the last. MARK is a DSCP, by
name or number (0-63): AF21, 18, 0x12.

Pinexec does not mark raw and ping sockets, sockets in other network namespaces,
sockets that COMMAND receives from other programs, and inherited sockets that are
already connected. It does not see marks that a program sends with single
datagrams (QUIC). COMMAND cannot gain privileges (sudo, su) and cannot use
io_uring or Multipath TCP.

Example: pinexec AF21 ssh host

The exit status is that of COMMAND; 125 if pinexec failed, 126 if COMMAND cannot
be run, 127 if it was not found. Needs Linux 5.19 or newer on amd64 or arm64.

Flags:
  -strict          make setting another mark fail with EPERM (default: setting
                   another mark does nothing and succeeds)
  -nat-safe        use the NAT-safe mark, with IP precedence 0, instead of MARK, for
                   networks behind VMware's NAT and similar NATs
  -v, -v=FILE      write a line for each socket to standard error, or to FILE
  -class CLASS     take MARK from -ipqos: interactive or bulk (default interactive)
  -ipqos "A B"     marks for interactive sessions and for bulk, with the words of
                   OpenSSH's IPQoS (default "af21 cs1")
`

// parseOptions returns [flag.ErrHelp] for -h.
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

// verbose is the flag -v, which takes a file name or no value.
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
