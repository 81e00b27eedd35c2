package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/godscp/godscp/dscp"
)

// sealedEnv has the network, the address and the host for the process that seals
// itself. It is a child process, since a seal cannot be undone.
const sealedEnv = "GODSCP_VMWARE_SEALED"

// The exit statuses of the sealed process.
const (
	exitRefused  = 0 // all changes were refused
	exitBroken   = 1
	exitUnsealed = 3 // Seal failed
)

// sealed is a program that tries to change the mark past its Conn, which only the kernel
// can refuse.
func sealed() []strategy {
	return []strategy{{
		name: "dscp.Seal, later setsockopt and File()", expect: refused, syn: known(dscp.AF21), web: true, run: runSealed,
	}}
}

// runSealed runs this program again as the process that seals itself.
func runSealed(ctx context.Context, p place) result {
	self, err := os.Executable()
	if err != nil {
		return result{outcome: skipped, said: err.Error()}
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", sealedEnv, p.network, p.addr, p.host))
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	said := string(bytes.TrimSpace(out))
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return result{outcome: refused, said: said, first: known(dscp.AF21), last: known(dscp.AF21)}
	case failed && exit.ExitCode() == exitUnsealed:
		return result{outcome: skipped, said: said}
	case said == "":
		said = err.Error()
	}
	return result{outcome: broken, said: said}
}

// beSealed runs the sealed process and exits, if this is that process. Otherwise it
// returns.
func beSealed() {
	args := strings.Fields(os.Getenv(sealedEnv))
	if len(args) != 3 {
		return
	}
	if err := dscp.Seal(); err != nil {
		fmt.Println(err)
		os.Exit(exitUnsealed)
	}
	said, err := askSealed(args[0], args[1], args[2])
	if err != nil {
		fmt.Println(words(err))
		os.Exit(exitBroken)
	}
	fmt.Println(said)
	os.Exit(exitRefused)
}

// askSealed makes the HTTP requests, and between them tries to change the mark.
func askSealed(network, addr, host string) (string, error) {
	c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial(network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	var refusal error
	said, err := getHTTP(c, place{host: host}, func(m moment) (err error) {
		if m == midway {
			refusal, err = changePastConn(c.(*dscp.Conn))
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; %s", words(refusal), said), c.(*dscp.Conn).Verify()
}

// changePastConn tries the ways to change the mark that a Conn cannot refuse. It returns
// the kernel's error as refusal, or err if one of them succeeded.
func changePastConn(c *dscp.Conn) (refusal, err error) {
	f, err := c.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	other, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	defer other.Close()
	for way, conn := range map[string]net.Conn{"setsockopt": behind{c}, "File": other, "the embedded conn": c.TCPConn} {
		refusal = remark(dscp.CS1)(conn)
		if !errors.Is(refusal, os.ErrPermission) {
			return nil, fmt.Errorf("changing the mark by %s: %w", way, errors.Join(errNotRefused, refusal))
		}
	}
	return refusal, nil
}

var errNotRefused = errors.New("not refused")

// behind is a Conn whose SyscallConn runs functions that the Conn does not recognise.
type behind struct{ *dscp.Conn }

func (b behind) SyscallConn() (syscall.RawConn, error) {
	raw, err := b.Conn.SyscallConn()
	return unknownRawConn{raw}, err
}

type unknownRawConn struct{ syscall.RawConn }

func (r unknownRawConn) Control(f func(fd uintptr)) error {
	return r.RawConn.Control(func(fd uintptr) { f(fd) })
}
