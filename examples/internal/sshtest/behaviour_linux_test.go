package sshtest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/openssh"
)

// A behaviour is when an OpenSSH sets its marks. Which of them it sets, -G and -T
// tell.
type behaviour struct {
	name string
	side dscptest.Side

	// early: the interactive mark is set before anybody has logged in, by ssh
	// before it connects, by sshd once it has accepted.
	early bool

	// continual: from then on the bulk mark is set whenever there is a channel
	// without a terminal, and the interactive one when there is none any more. Else
	// the first session decides, and what comes after changes nothing.
	continual bool
}

// behaviours are all that have been seen.
var behaviours = []behaviour{
	{"once, after login", dscptest.Client, false, false},                                        // 8.4
	{"before connect, and once after login", dscptest.Client, true, false},                      // 8.5 to 10.0
	{"before connect, and with the channels that there are", dscptest.Client, true, true},       // 10.1, and Debian's 10.0
	{"once, when a session starts", dscptest.Server, false, false},                              // up to 10.0
	{"once it has accepted, and with the channels that there are", dscptest.Server, true, true}, // 10.1, and Debian's 10.0
}

// What people do with an ssh connection.
const (
	useTerminal = "terminal"
	useExec     = "exec"
	useSCP      = "scp"
	useSFTP     = "sftp"
	useGit      = "git"
	useIdle     = "-N"
	useForward  = "-N -L"
	useJoin     = "exec joins a terminal"
)

var uses = []string{useTerminal, useExec, useSCP, useSFTP, useGit, useIdle, useForward, useJoin}

// marks returns the marks that a connection shows, in their order.
func (b behaviour) marks(q openssh.Marks, use string) []dscp.CodePoint {
	seen := []dscp.CodePoint{dscp.DF}
	set := func(m openssh.Mark) {
		seen = append(seen, m.Set(seen[len(seen)-1]))
	}
	if b.early {
		set(q.Interactive)
		if b.side == dscptest.Client { // before the first packet
			seen = seen[1:]
		}
	}
	switch {
	case b.continual:
		if use == useTerminal || use == useIdle {
			break
		}
		set(q.Bulk)
		// At the end ssh says goodbye, and sshd has nothing more to say.
		if b.side == dscptest.Client || use == useJoin {
			set(q.Interactive)
		}
	case use == useTerminal, use == useJoin:
		set(q.Interactive)
	case use == useIdle, use == useForward: // no session
		if b.side == dscptest.Client {
			set(q.Interactive)
		}
	default:
		set(q.Bulk)
	}
	return slices.Compact(seen)
}

// observe finds out how the installed ssh or sshd behaves: from what the wire shows
// of one command with marks that all differ.
func observe(t *testing.T, side dscptest.Side) behaviour {
	t.Helper()
	const value = "af21 cs1"
	q, err := openssh.Parse(value)
	require.NoError(t, err)
	var s *site
	if side == dscptest.Client {
		s = newSite(t, atSite{sshd: []string{"IPQoS none"}})
		s.adds("    IPQoS " + value + "\n")
	} else {
		s = newSite(t, atSite{inside: side, sshd: []string{"IPQoS " + value}})
		s.adds("    IPQoS none\n")
	}
	saw := s.does(useExec)
	require.True(t, saw.ok, saw.output)
	for _, b := range behaviours {
		if b.side == side && slices.Equal(b.marks(q, useExec), saw.marks) {
			return b
		}
	}
	require.Fail(t, "unknown behaviour", "IPQoS %s: %v shows %v for a command, as no OpenSSH is known to: %s", value, side, saw.marks, saw.output)
	return behaviour{}
}

// octets writes marks as programs set them: 0x48→0x20.
func octets(marks []dscp.CodePoint) string {
	s := ""
	for i, cp := range marks {
		if i > 0 {
			s += "→"
		}
		s += fmt.Sprintf("0x%02x", cp.TOS())
	}
	return s
}
