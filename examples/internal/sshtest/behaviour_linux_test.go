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

// A behaviour describes when a version of OpenSSH sets its marks. The marks
// themselves are those that -G and -T print.
type behaviour struct {
	name string
	side dscptest.Side

	// early: it sets the interactive mark before login: ssh before it connects, sshd
	// after it has accepted.
	early bool

	// continual: after login it sets the bulk mark when a channel without a terminal
	// opens, and the interactive mark when the last of these closes. If false, it
	// sets the mark of the first session and does not change it later.
	continual bool
}

// behaviours are all those of known versions.
var behaviours = []behaviour{
	{"once, after login", dscptest.Client, false, false},                              // 8.4
	{"before connect, and once after login", dscptest.Client, true, false},            // 8.5 to 10.0
	{"before connect, and whenever its channels change", dscptest.Client, true, true}, // 10.1, and Debian's 10.0
	{"once, when a session starts", dscptest.Server, false, false},                    // up to 10.0
	{"after accept, and whenever its channels change", dscptest.Server, true, true},   // 10.1, and Debian's 10.0
}

// The uses of an ssh connection.
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

// marks returns the marks of a connection's packets, in order.
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
		// After the channel has closed, ssh sends a disconnect message; sshd sends
		// nothing more.
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

// observe finds out the behaviour of the installed ssh or sshd: it runs one command
// with two different marks and looks at the packets.
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
	require.Fail(t, "unknown behaviour", "IPQoS %s: marks of the %v for a command: %v, unlike any known OpenSSH: %s", value, side, saw.marks, saw.output)
	return behaviour{}
}

// octets formats marks as TOS octets: 0x48→0x20.
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
