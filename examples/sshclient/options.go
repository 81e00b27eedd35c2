package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

type options struct {
	config    string // of -F; empty means ~/.ssh/config
	settings  []setting
	natSafe   bool
	terminal  bool // -t
	subsystem bool // -s
	verbose   bool
	host      string   // as on the command line, without user
	command   []string // empty for a shell
}

// A setting is one line of configuration.
type setting struct {
	key   string   // in lower case
	words []string // the value, without its quotes
	from  string   // where it stands
}

const usage = `usage: sshclient [-F config] [-p port] [-l user] [-i identity] [-o IPQoS="af21 cs1"]
                 [-nat-safe] [-t] [-s] [-v] [user@]host [command...]

`

// parseOptions reports errors, and the usage, on stderr itself.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("sshclient", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	as := func(key string) func(string) error {
		return func(value string) error {
			o.settings = append(o.settings, setting{key, []string{value}, "command line"})
			return nil
		}
	}
	fs.StringVar(&o.config, "F", "", "configuration `file` instead of ~/.ssh/config, or none")
	fs.Func("p", "`port` to connect to", as("port"))
	fs.Func("l", "`user` to log in as", as("user"))
	fs.Func("i", "`file` with a private key; can be given more than once", as("identityfile"))
	fs.Func("o", "`option`=value as in the configuration file: "+strings.Join(keys, ", "), func(s string) error {
		set, err := parseSetting(s)
		o.settings = append(o.settings, set)
		return err
	})
	fs.BoolVar(&o.natSafe, "nat-safe", false, "use a mark with IP precedence zero instead, for networks behind VMware's NAT and its like")
	fs.BoolVar(&o.terminal, "t", false, "ask the server for a terminal, whatever runs there and whether or not there is one here")
	fs.BoolVar(&o.subsystem, "s", false, "the command is the name of a subsystem")
	fs.BoolVar(&o.verbose, "v", false, "say what happens")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.host, o.command = fs.Arg(0), fs.Args()
	if len(o.command) > 0 {
		o.command = o.command[1:]
	}
	if i := strings.LastIndex(o.host, "@"); i >= 0 {
		as("user")(o.host[:i])
		o.host = o.host[i+1:]
	}
	var err error
	switch {
	case o.host == "":
		err = errors.New("which host?")
	case o.subsystem && len(o.command) != 1:
		err = errors.New("-s wants the name of one subsystem")
	}
	if err != nil {
		fmt.Fprintln(stderr, "sshclient:", err)
		fs.Usage()
	}
	return o, err
}

// parseSetting reads the argument of -o, key=value or key value.
func parseSetting(s string) (setting, error) {
	i := strings.IndexAny(s, "= \t")
	if i < 0 {
		return setting{}, fmt.Errorf("%q has no value", s)
	}
	key := strings.ToLower(s[:i])
	if !known[key] {
		return setting{}, fmt.Errorf("option %q is not one of %s", s[:i], strings.Join(keys, ", "))
	}
	value := strings.TrimSpace(s[i:])
	words, err := splitWords(strings.TrimPrefix(value, "="))
	return setting{key, words, "command line"}, err
}
