//go:build unix

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/class"
	"github.com/godscp/godscp/examples/internal/cli"
)

type options struct {
	listen         string
	ipqos          dscp.IPQoS
	class          class.Class
	reflect        classes
	natSafe        bool
	hostKey        string // file name
	authorizedKeys string // file name
}

// mark returns the mark of the class.
func (o options) mark() dscp.CodePoint { return o.class.Of(o.ipqos) }

const usage = `usage: sshserver [-listen addr] [-ipqos "af21 cs1"] [-class interactive|bulk]
                 [-reflect "af21 cs1"] [-nat-safe] [-hostkey file]
                 [-authorized-keys file]

An SSH server with one mark per connection, for the user who starts it.

`

// parseOptions reports errors on stderr itself.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	home, _ := os.UserHomeDir()     // without one, the default is a relative name,
	config, _ := os.UserConfigDir() // which the error for a missing file shows
	fs := flag.NewFlagSet("sshserver", flag.ContinueOnError)
	fs.StringVar(&o.listen, "listen", "127.0.0.1:2222", "`address` to listen on")
	fs.TextVar(&o.ipqos, "ipqos", dscp.OpenSSH78, "`marks` for interactive sessions and for bulk, as OpenSSH's IPQoS")
	fs.TextVar(&o.class, "class", class.Interactive, "which of the two marks to use: `interactive or bulk`")
	fs.TextVar(&o.reflect, "reflect", classes(nil), "`marks` with which a client that has one on its SYN is answered, on Linux, or \"none\" (default: those of -ipqos, where the system can)")
	fs.BoolVar(&o.natSafe, "nat-safe", false, "use marks with IP precedence zero instead, for networks behind VMware's NAT and its like")
	fs.StringVar(&o.hostKey, "hostkey", filepath.Join(config, "sshserver", "host_key"), "`file` with the host key, made if missing")
	fs.StringVar(&o.authorizedKeys, "authorized-keys", filepath.Join(home, ".ssh", "authorized_keys"), "`file` with the keys that are let in")
	if err := cli.Parse(fs, usage, args, stderr); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, cli.Refuse(fs, stderr, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	return o, nil
}
