package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// printEvidence prints the last good and the fatal segment of each reset side by side,
// as the captures in the published reports do.
func printEvidence(w io.Writer, rows []row) {
	var b strings.Builder
	for _, r := range rows {
		if fatal, ok := r.fatal(); ok {
			describe(&b, r, fatal)
		}
	}
	if b.Len() == 0 {
		b.WriteString("\nEvidence: none, the box let every segment pass.\n")
	}
	fmt.Fprint(w, b.String())
}

func describe(b *strings.Builder, r row, fatal dscptest.Change) {
	fmt.Fprintf(b, "\nEvidence: %s (%v, %v)\n", r.strategy, fatal.Direction, r.flow.Network)
	line := func(what string, lastGood, fatal any) {
		fmt.Fprintf(b, "  %-24s  %-18v  %v\n", what, lastGood, fatal)
	}
	line("at the box", "last good segment", "fatal segment")
	line("ip.dsfield.dscp", dscpField(fatal.From), dscpField(fatal.To))
	line("octet", octet(fatal.From), octet(fatal.To))
	line("IP precedence", fatal.From.Precedence(), fatal.To.Precedence())
	line("first byte of payload", "before it", firstByte(fatal))
	line("the box", dscptest.Pass, r.flow.Verdict)
}

// dscpField formats a code point as Wireshark shows ip.dsfield.dscp: the number first.
// In an IPv6 segment, Wireshark's field is ipv6.tclass.dscp.
func dscpField(cp dscp.CodePoint) string { return fmt.Sprintf("%d (%v)", uint8(cp), cp) }

func octet(cp dscp.CodePoint) string { return fmt.Sprintf("0x%02x", cp.TOS()) }

// firstByte returns the offset of the change in the stream, as exactly as the box knows
// it.
func firstByte(c dscptest.Change) string {
	if c.Exact() {
		return fmt.Sprint(c.Offset)
	}
	return fmt.Sprintf("%d, at most %d", c.Offset, c.OffsetMax)
}
