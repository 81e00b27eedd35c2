package main

import (
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/class"
	"github.com/godscp/godscp/examples/internal/cli"
)

type options struct {
	ipqos       dscp.IPQoS
	class       class.Class
	natSafe     bool
	fallback    markList
	fdpass      bool
	printConfig bool
	host, port  string
}

// mark returns the mark of the class.
func (o options) mark() dscp.CodePoint { return o.class.Of(o.ipqos) }

// A markList is the value of -fallback: marks, in the words of IPQoS.
type markList []dscp.CodePoint

func (l markList) MarshalText() ([]byte, error) {
	var words []string
	for _, cp := range l {
		word, _, _ := strings.Cut(dscp.IPQoS{Interactive: cp}.String(), " ")
		words = append(words, word)
	}
	return []byte(strings.Join(words, " ")), nil
}

func (l *markList) UnmarshalText(text []byte) error {
	var marks markList
	for word := range strings.FieldsSeq(string(text)) {
		q, err := dscp.ParseIPQoS(word)
		if err != nil {
			return err
		}
		marks = append(marks, q.Interactive)
	}
	*l = marks
	return nil
}

const usage = `usage: proxycommand [-ipqos "af21 cs1"] [-class interactive|bulk] [-nat-safe] [-fallback "16 cs0"] [-fdpass] host port
       proxycommand -print-config [the other options] >>~/.ssh/config

Connects to host and port for ssh's ProxyCommand, with one mark from the first
packet to the last. With -print-config it prints lines for ~/.ssh/config instead.

Example: ssh -o ProxyCommand="proxycommand -- '%h' %p" host

The exit status is 0 if the connection ended normally or was passed to ssh, 1 if
it failed, 2 for wrong arguments.

Flags:
`

// parseOptions prints errors, and the usage for -h, to stderr.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("proxycommand", flag.ContinueOnError)
	fs.TextVar(&o.ipqos, "ipqos", dscp.OpenSSH78, "`marks` for interactive sessions and for bulk, with the words of OpenSSH's IPQoS")
	fs.TextVar(&o.class, "class", class.Interactive, "use the mark of this `class`, interactive or bulk")
	fs.BoolVar(&o.natSafe, "nat-safe", false, "use the NAT-safe marks, with IP precedence 0, instead of those of -ipqos, for networks behind VMware's NAT and similar NATs")
	fs.TextVar(&o.fallback, "fallback", markList(nil), "`marks` to try one after another, each on a new connection, if the connection with the first mark fails")
	fs.BoolVar(&o.fdpass, "fdpass", false, "pass the connection to ssh and exit (needs ProxyUseFdpass yes and IPQoS none)")
	fs.BoolVar(&o.printConfig, "print-config", false, "print lines for ~/.ssh/config and exit")
	if err := cli.Parse(fs, usage, args, stderr); err != nil {
		return o, err
	}
	want := 2
	if o.printConfig {
		want = 0
	}
	if fs.NArg() != want {
		return o, cli.Refuse(fs, stderr, fmt.Errorf("want %d arguments, got %d", want, fs.NArg()))
	}
	o.host, o.port = fs.Arg(0), fs.Arg(1)
	return o, nil
}
