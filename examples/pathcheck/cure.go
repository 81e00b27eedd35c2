package main

import (
	"fmt"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// A cure has settings that work on the path. Each has been tried there. A field is empty
// if no setting worked.
type cure struct {
	ssh    string // a line for ssh_config
	dialer string // a Go expression
}

// literal returns d as a Go expression, on one line.
func literal(d dscp.Dialer) string {
	var fields []string
	if d.DSCP != dscp.DF {
		fields = append(fields, "DSCP: "+goName(d.DSCP))
	}
	if d.NATSafe {
		fields = append(fields, "NATSafe: true")
	}
	if len(d.Fallback) > 0 {
		var marks []string
		for _, cp := range d.Fallback {
			marks = append(marks, goName(cp))
		}
		fields = append(fields, fmt.Sprintf("Fallback: []dscp.CodePoint{%s}", strings.Join(marks, ", ")))
	}
	return fmt.Sprintf("dscp.Dialer{%s}", strings.Join(fields, ", "))
}

// sshName formats a mark for IPQoS so that every OpenSSH reads it: since 10.1 OpenSSH
// ignores the names lowdelay and throughput, and since 9.8 it reads only decimal
// numbers, which are TOS octets.
func sshName(cp dscp.CodePoint) string {
	if name := strings.ToLower(cp.String()); strings.HasPrefix(name, "af") || strings.HasPrefix(name, "cs") || name == "ef" {
		return name
	}
	return fmt.Sprint(cp.TOS())
}

// goName returns a mark as a Go expression.
func goName(cp dscp.CodePoint) string {
	switch cp {
	case dscp.LowDelay:
		return "dscp.LowDelay"
	case dscp.Throughput:
		return "dscp.Throughput"
	case dscp.VoiceAdmit:
		return "dscp.VoiceAdmit"
	}
	if name := cp.String(); name[0] >= 'A' {
		return "dscp." + name
	}
	return fmt.Sprintf("dscp.CodePoint(%d)", uint8(cp))
}
