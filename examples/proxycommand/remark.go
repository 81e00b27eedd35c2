package main

import (
	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/examples/internal/openssh"
)

// willRemark reports whether an ssh with this IPQoS, as "ssh -G" prints it, changes
// the mark of a socket that has cp. It returns false for an empty ipqos, which is
// unknown. Only with none does ssh leave the socket alone: cs0 sets 0.
func willRemark(ipqos string, cp dscp.CodePoint) bool {
	if ipqos == "" {
		return false
	}
	marks, err := openssh.Parse(ipqos)
	return err != nil || marks.Interactive.Set(cp) != cp || marks.Bulk.Set(cp) != cp
}
