package dscptest

import (
	"strings"
	"time"
)

// maxChanges bounds the record of a flow: a program may mark every datagram
// anew, for hours.
const maxChanges = 1000

// note keeps the hardest verdict on the flow.
func (f *Flow) note(r ruling, reason string) {
	if r.verdict.harder(f.Verdict) {
		f.Verdict, f.Model, f.Reason, f.VerdictAt = r.verdict, r.model, reason, time.Now()
	}
	if r.reporter != "" && f.Reported == "" {
		// The reason begins with the model that was hardest.
		f.Reported = r.reporter + strings.TrimPrefix(reason, r.model)
	}
}

// add keeps a change; of very many, the first.
func (f *Flow) add(c Change) {
	if len(f.Changes) < maxChanges {
		f.Changes = append(f.Changes, c)
	}
}
