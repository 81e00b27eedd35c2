package dscpvet

import "fmt"

// ecn reports constant octets with ECN bits. On datagram sockets the kernel
// sends them as they are, so that every packet has an ECN field that the program
// may not implement; on TCP sockets the kernel ignores them.
func (p *program) ecn() {
	for _, m := range p.marks {
		if m.valueAt == nil || m.shift != 0 {
			continue
		}
		if v, ok := p.constant(m.valueAt); ok && v > 0 && v < 256 && v&3 != 0 && bareCodePoint(v) == "" {
			p.report(m.valueAt, fmt.Sprintf("octet %#x sets the ECN bits, the lower two; a DSCP leaves them clear (RFC 3168)", v))
		}
	}
}
