package dscptest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// errNoSYN says that nothing tells the mark of a flow's SYN.
var errNoSYN = errors.New("dscptest: the mark of the SYN is not known: it came with a cookie and its sender is gone")

// reasonFirst says why the first mark of a direction met its verdict.
func reasonFirst(r ruling, d Direction, cp dscp.CodePoint) string {
	if r.verdict == Pass {
		return ""
	}
	return fmt.Sprintf("%s: the %v began with %v", r.model, d.From(), cp)
}

// reasonChange says why a change met its verdict.
func reasonChange(r ruling, d Direction, from, to dscp.CodePoint) string {
	if r.verdict == Pass {
		return ""
	}
	return fmt.Sprintf("%s: the %v's mark went from %v to %v", r.model, d.From(), from, to)
}

// reasonPayload says why payload under an unchanged mark met its verdict.
func reasonPayload(r ruling, d Direction, cp dscp.CodePoint) string {
	return fmt.Sprintf("%s: the %v sent data marked %v", r.model, d.From(), cp)
}

// String describes the change in one line:
//
//	client→server: DF → AF21 at byte 21
func (c Change) String() string {
	where := fmt.Sprintf("at byte %d", c.Offset)
	if !c.Exact() {
		where = fmt.Sprintf("between bytes %d and %d", c.Offset, c.OffsetMax)
	}
	return fmt.Sprintf("%v: %v → %v %s", c.Direction, c.From, c.To, where)
}

// String describes the flow in one line:
//
//	flow 1, 127.0.0.1:40404 → 127.0.0.1:22: SYN DF; client→server: DF → AF21 at byte 21; reset (VMware: the client's mark went from DF to AF21)
func (f Flow) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "flow %d, %v → %v: ", f.ID, f.Client, f.Upstream)
	if isTCP(f.Network) {
		b.WriteString("SYN ")
	}
	fmt.Fprintf(&b, "%v", f.SYN)
	for _, c := range f.Changes {
		fmt.Fprintf(&b, "; %v", c)
	}
	fmt.Fprintf(&b, "; %v", f.Verdict)
	if f.Reason != "" {
		fmt.Fprintf(&b, " (%s)", f.Reason)
	}
	if f.Err != nil {
		fmt.Fprintf(&b, "; %v", f.Err)
	}
	return b.String()
}
