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

Runs an SSH server whose connections each keep one mark, from the SYN-ACK to the
last packet. All sessions run as the user who starts it.

Example: sshserver -listen :2222 -ipqos "af21 cs1"

The exit status is 0 after SIGTERM or SIGINT, 1 if the server failed, 2 for wrong
arguments.

Flags:
`

// parseOptions prints errors, and the usage for -h, to stderr.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	home, _ := os.UserHomeDir()     // if it fails, the default is a relative name,
	config, _ := os.UserConfigDir() // and the error for a missing file shows it
	fs := flag.NewFlagSet("sshserver", flag.ContinueOnError)
	fs.StringVar(&o.listen, "listen", "127.0.0.1:2222", "listen on this `address`")
	fs.TextVar(&o.ipqos, "ipqos", dscp.OpenSSH78, "`marks` for interactive sessions and for bulk, with the words of OpenSSH's IPQoS")
	fs.TextVar(&o.class, "class", class.Interactive, "use the mark of this `class`, interactive or bulk")
	fs.TextVar(&o.reflect, "reflect", classes(nil), "if a client's SYN has one of these `marks`, answer with that mark (Linux only); \"none\" for no reflection (default those of -ipqos, on Linux)")
	fs.BoolVar(&o.natSafe, "nat-safe", false, "use the NAT-safe marks, with IP precedence 0, instead of those of -ipqos, for networks behind VMware's NAT and similar NATs")
	fs.StringVar(&o.hostKey, "hostkey", filepath.Join(config, "sshserver", "host_key"), "`file` with the host key; made if it does not exist")
	fs.StringVar(&o.authorizedKeys, "authorized-keys", filepath.Join(home, ".ssh", "authorized_keys"), "`file` with the public keys that can log in")
	if err := cli.Parse(fs, usage, args, stderr); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, cli.Refuse(fs, stderr, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	return o, nil
}
