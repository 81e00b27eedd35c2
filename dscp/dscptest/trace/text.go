package trace

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/godscp/godscp/dscp/dscptest"
)

// WriteText writes the flows as tables, like a packet listing:
//
//	flow 1, tcp6, [::1]:40404 → [::1]:22: reset
//	VMware: the client's mark went from DF to AF21
//	      ms  direction      what     bytes  DSCP  octet
//	   0.000  client→server  SYN             DF    0x00
//	   0.000  server→client  SYN-ACK         DF    0x00
//	   0.000  client→server  ACK             DF    0x00
//	   0.113  client→server  data     0–20   DF    0x00
//	  15.000  client→server  data     21–30  AF21  0x48   DF → AF21, reset
//	  15.020  box→client     RST             DF    0x00   VMware: the client's mark went from DF to AF21
//
// Times are in milliseconds since the flow began.
func WriteText(w io.Writer, flows ...dscptest.Flow) error {
	var b bytes.Buffer
	for i, f := range flows {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "flow %d, %s, %v → %v: %v\n", f.ID, f.Network, f.Client, f.Upstream, f.Verdict)
		if f.Reason != "" {
			fmt.Fprintln(&b, f.Reason)
		}
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "      ms\tdirection\twhat\tbytes\tDSCP\toctet\t")
		for _, p := range packets(f) {
			fmt.Fprintf(t, "%8.3f\t%s\t%v\t%s\t%v\t0x%02x\t%s\n",
				float64(p.at.Sub(f.Start).Microseconds())/1000, p.way(), p.kind, p.span(), p.mark, p.mark.TOS(), p.note)
		}
		t.Flush() // into b, which takes everything
	}
	_, err := w.Write(trimLines(b.Bytes()))
	return err
}

// way returns who sent the packet, and to whom.
func (p packet) way() string {
	if p.byBox {
		return "box→client"
	}
	return p.direction.String()
}

// span returns which bytes of the stream the packet carried.
func (p packet) span() string {
	switch p.bytes {
	case 0:
		return ""
	case 1:
		return fmt.Sprint(p.offset)
	}
	return fmt.Sprintf("%d–%d", p.offset, p.offset+int64(p.bytes)-1)
}

// trimLines removes the spaces at the ends of lines.
func trimLines(b []byte) []byte {
	lines := bytes.Split(b, []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimRight(lines[i], " ")
	}
	return bytes.Join(lines, []byte("\n"))
}
