//go:build unix

package main

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// An exit is how a command ended: with a status, or by a signal.
type exit struct {
	status uint32
	signal syscall.Signal // 0 if it was none
	core   bool
}

func (e exit) String() string {
	if e.signal != 0 {
		return "signal " + signalName(e.signal)
	}
	return fmt.Sprint("status ", e.status)
}

// send tells the client (RFC 4254, section 6.10).
func (e exit) send(channel ssh.Channel) {
	if e.signal == 0 {
		channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{e.status}))
		return
	}
	channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
		Signal        string
		Core          bool
		Message, Lang string
	}{Signal: signalName(e.signal), Core: e.core}))
}

// signalName returns the protocol's name of a signal: the system's without SIG.
func signalName(sig syscall.Signal) string {
	return strings.TrimPrefix(unix.SignalName(sig), "SIG")
}

// signalNumber returns the signal of that name, or 0.
func signalNumber(name string) syscall.Signal { return unix.SignalNum("SIG" + name) }
