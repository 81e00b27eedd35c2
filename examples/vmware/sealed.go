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

// sealedEnv has the network, the address and the host for a process that seals
// itself. A seal cannot be undone, so it has to be another one than this.
const sealedEnv = "GODSCP_VMWARE_SEALED"

// What a sealed process exits with.
const (
	exitRefused  = 0 // everything that it tried
	exitBroken   = 1
	exitUnsealed = 3 // it could not seal itself
)

// sealed is a program that tries, behind the conn's back, what only the kernel can
// refuse.
func sealed() []strategy {
	return []strategy{{
		name: "dscp.Seal, later setsockopt and File()", expect: refused, syn: known(dscp.AF21), web: true, run: runSealed,
	}}
}

// runSealed runs the program again, as a process that seals itself.
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

// beSealed is that process, if this is it, and does not return then.
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

// askSealed makes the requests of the scripts, and between them tries to change
// the mark.
func askSealed(network, addr, host string) (string, error) {
	c, err := (&dscp.Dialer{DSCP: dscp.AF21}).Dial(network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	var refusal error
	said, err := getHTTP(c, place{host: host}, func(m moment) (err error) {
		if m == midway {
			refusal, err = changeBehindItsBack(c.(*dscp.Conn))
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; %s", words(refusal), said), c.(*dscp.Conn).Verify()
}

// changeBehindItsBack returns how the kernel has refused each way, or an error if it
// has not.
func changeBehindItsBack(c *dscp.Conn) (refusal, err error) {
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
			return nil, fmt.Errorf("by %s the mark can be changed: %w", way, errors.Join(errNotRefused, refusal))
		}
	}
	return refusal, nil
}

var errNotRefused = errors.New("not refused")

// behind is a Conn whose options are set by functions of its own, which the Conn
// cannot know.
type behind struct{ *dscp.Conn }

func (b behind) SyscallConn() (syscall.RawConn, error) {
	raw, err := b.Conn.SyscallConn()
	return unknownRawConn{raw}, err
}

type unknownRawConn struct{ syscall.RawConn }

func (r unknownRawConn) Control(f func(fd uintptr)) error {
	return r.RawConn.Control(func(fd uintptr) { f(fd) })
}
