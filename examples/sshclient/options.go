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
	config    string // file of -F; empty means the user's and the machine's files
	settings  []sshconfig.Setting
	natSafe   bool
	terminal  bool // -t
	subsystem bool // -s
	verbose   bool
	seal      bool
	host      string   // as on the command line, without user
	command   []string // empty for a shell
	through   int      // number of jumps after this one; zero for the session itself
}

// session returns the type of the session, as Match sessiontype has it.
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

Logs in to an SSH server over a connection that keeps one mark from the first
packet to the last: the interactive mark of IPQoS with a terminal, the mark for
bulk without one.

Example: sshclient -o IPQoS="af21 cs1" user@example.com

The exit status is that of the command, or 255 after an error.

Flags:
`

// fromCommandLine is the origin of settings that come from the command line.
const fromCommandLine = "command line"

// parseOptions returns [flag.ErrHelp] for -h, after it has printed the usage to stderr.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("sshclient", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // package flag would print the whole usage after each error
	as := func(key string) func(string) error {
		return func(value string) error {
			o.settings = append(o.settings, sshconfig.Setting{Key: key, Words: []string{value}, Text: value, From: fromCommandLine})
			return nil
		}
	}
	fs.StringVar(&o.config, "F", "", "read this configuration `file`, or none (default ~/.ssh/config and /etc/ssh/ssh_config)")
	fs.Func("J", "connect through these `hosts`, as ProxyJump", as("proxyjump"))
	fs.Func("p", "connect to this `port` (default 22)", as("port"))
	fs.Func("l", "log in as this `user` (default the local user)", as("user"))
	fs.Func("i", "use the private key in this `file`; may be repeated", as("identityfile"))
	fs.Func("o", "set an `option`=value, as in the configuration file; may be repeated", func(s string) error {
		set, ok, err := sshconfig.ParseLine(s, fromCommandLine)
		if err == nil && !ok {
			err = errors.New("no option")
		}
		o.settings = append(o.settings, set)
		return err
	})
	fs.BoolVar(&o.natSafe, "nat-safe", false, "use the NAT-safe marks, with IP precedence 0, instead of those of IPQoS, for networks behind VMware's NAT and similar NATs")
	fs.BoolVar(&o.seal, "seal", false, "make Linux refuse all changes of marks in this process and in a ProxyCommand")
	fs.BoolVar(&o.terminal, "t", false, "request a terminal on the server, also for a command and if standard input is not a terminal")
	fs.BoolVar(&o.subsystem, "s", false, "run the command as a subsystem, such as sftp")
	fs.BoolVar(&o.verbose, "v", false, "print the steps of the connection, and its mark")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w; try sshclient -h", err)
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
		return o, errors.New("no host; try sshclient -h")
	case o.subsystem && len(o.command) != 1:
		return o, errors.New("-s: want the name of one subsystem")
	}
	return o, nil
}
