package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

type options struct {
	config    string // of -F; empty means those of the user and of the machine
	settings  []sshconfig.Setting
	natSafe   bool
	terminal  bool // -t
	subsystem bool // -s
	verbose   bool
	seal      bool
	host      string   // as on the command line, without user
	command   []string // empty for a shell
	through   int      // how many jumps this one serves: zero for the session that was asked for
}

// session is what runs on the server, as Match sessiontype calls it.
func (o options) session() string {
	switch {
	case o.through > 0:
		return "none" // as ssh -W
	case o.subsystem:
		return "subsystem"
	case len(o.command) > 0:
		return "exec"
	}
	return "shell"
}

const usage = `usage: sshclient [-F config] [-J jumps] [-p port] [-l user] [-i identity] [-o IPQoS="af21 cs1"]
                 [-nat-safe] [-seal] [-t] [-s] [-v] [user@]host [command...]

`

// fromCommandLine is where a setting stands that is on none of a file's lines.
const fromCommandLine = "command line"

// parseOptions prints the usage to stderr if that is asked for, and returns
// [flag.ErrHelp] then.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("sshclient", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // package flag would print the usage below each error, and the error would scroll away
	as := func(key string) func(string) error {
		return func(value string) error {
			o.settings = append(o.settings, sshconfig.Setting{Key: key, Words: []string{value}, Text: value, From: fromCommandLine})
			return nil
		}
	}
	fs.StringVar(&o.config, "F", "", "configuration `file` instead of ~/.ssh/config and /etc/ssh/ssh_config, or none")
	fs.Func("J", "`hosts` to go through, as ProxyJump", as("proxyjump"))
	fs.Func("p", "`port` to connect to", as("port"))
	fs.Func("l", "`user` to log in as", as("user"))
	fs.Func("i", "`file` with a private key; can be given more than once", as("identityfile"))
	fs.Func("o", "`option`=value as in the configuration file", func(s string) error {
		set, ok, err := sshconfig.ParseLine(s, fromCommandLine)
		if err == nil && !ok {
			err = errors.New("no option")
		}
		o.settings = append(o.settings, set)
		return err
	})
	fs.BoolVar(&o.natSafe, "nat-safe", false, "use a mark with IP precedence zero instead, for networks behind VMware's NAT and its like")
	fs.BoolVar(&o.seal, "seal", false, "have Linux refuse every change of a mark in this process, and in a ProxyCommand, from the start on")
	fs.BoolVar(&o.terminal, "t", false, "ask the server for a terminal, whatever runs there and whether or not there is one here")
	fs.BoolVar(&o.subsystem, "s", false, "the command is the name of a subsystem")
	fs.BoolVar(&o.verbose, "v", false, "say what happens")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w; try sshclient -help", err)
	}
	o.host, o.command = fs.Arg(0), fs.Args()
	if len(o.command) > 0 {
		o.command = o.command[1:]
	}
	if i := strings.LastIndex(o.host, "@"); i >= 0 {
		as("user")(o.host[:i])
		o.host = o.host[i+1:]
	}
	switch {
	case o.host == "":
		return o, errors.New("which host? try sshclient -help")
	case o.subsystem && len(o.command) != 1:
		return o, errors.New("-s wants the name of one subsystem")
	}
	return o, nil
}
