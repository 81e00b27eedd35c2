package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/pinexec"
)

// scriptTwo is the second published script, except for the address. It marks after
// connect.
const scriptTwo = `import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_STREAM)
s.connect((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, bytes([0x48]))
s.send(b"GET / HTTP/1.0\r\n\r\n")
print(s.recv(4096))
`

// pinned are programs that mark too late, but survive under pinexec, which gives their
// sockets one mark from the first packet on: the second script, ssh, and sshd in the
// guest.
func (o *openSSH) pinned(ctx context.Context) []strategy {
	missing := pinexec.Check(ctx)
	late := session{ssh: o, ipqos: "af21 cs1", pinned: true}
	list := []strategy{
		{
			name: "script 2 under pinexec", web: true,
			run: python,
		},
		{
			name: "ssh under pinexec", skip: o.missing,
			run: late.run,
		},
		{
			name: "sshd under pinexec", skip: o.missing,
			serve: func(ctx context.Context, l *lab) (server, error) { return startSSHD(ctx, l, "", true) },
			run:   session{ssh: o, ipqos: "none"}.run, // outside: the row has sshd's marks
		},
	}
	for i := range list {
		list[i].expect, list[i].syn = works, known(dscp.AF21)
		if missing != nil && list[i].skip == "" {
			list[i].skip = missing.Error()
		}
	}
	return list
}

// python runs the script with python3 under pinexec.
func python(ctx context.Context, p place) result {
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	cmd := exec.CommandContext(ctx, "python3", "-c", scriptTwo, host, port)
	if cmd.Err != nil {
		return result{outcome: skipped, said: cmd.Err.Error()}
	}
	if err := pinexec.Under(dscp.AF21, cmd); err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case failed:
		lines := bytes.Split(bytes.TrimSpace(exit.Stderr), []byte("\n"))
		return result{outcome: broken, said: string(lines[len(lines)-1])} // the last line of a traceback is the error
	case err != nil:
		return result{outcome: broken, said: err.Error()}
	case !bytes.Contains(out, []byte("200 OK")):
		return result{outcome: broken, said: fmt.Sprintf("no answer: %s", oneLine(out))}
	}
	return result{outcome: works, said: "HTTP 200"}
}
