//go:build unix

package main

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// An exit is the exit status of a command, or the signal that ended it.
type exit struct {
	status uint32
	signal syscall.Signal // 0: no signal
	core   bool
}

func (e exit) String() string {
	if e.signal != 0 {
		return "signal " + signalName(e.signal)
	}
	return fmt.Sprint("status ", e.status)
}

// send sends the exit to the client (RFC 4254, section 6.10).
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

// signalName returns the name of a signal in the protocol: that of the system
// without SIG.
func signalName(sig syscall.Signal) string {
	return strings.TrimPrefix(unix.SignalName(sig), "SIG")
}

// signalNumber returns the signal of that name, or 0.
func signalNumber(name string) syscall.Signal { return unix.SignalNum("SIG" + name) }
