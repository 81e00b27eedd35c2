package main

import (
	"strings"

	"github.com/godscp/godscp/dscp"
)

// willRemark reports whether an ssh with that IPQoS, as "ssh -G" prints it,
// changes the mark of a socket that has cp. An empty ipqos is not known, and none
// is the one value with which ssh leaves its socket alone: cs0 sets 0.
func willRemark(ipqos string, cp dscp.CodePoint) bool {
	for word := range strings.FieldsSeq(ipqos) {
		if strings.EqualFold(word, "none") {
			continue
		}
		if q, err := dscp.ParseIPQoS(word); err != nil || q.Interactive != cp {
			return true
		}
	}
	return false
}
