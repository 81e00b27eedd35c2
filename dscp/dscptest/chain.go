package dscptest

import (
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// A chain is the models of a box in their order. It holds no state: each direction
// of a flow has a history.
type chain struct {
	models []namedModel
	inside Side
}

// A namedModel is one model and its name.
type namedModel struct {
	model Model
	name  string
}

// A history is what each model of a chain has been shown in one direction of one
// flow. Models after one that rewrites marks see other marks than those before it.
type history []modelHistory

// A modelHistory is what one model has been shown.
type modelHistory struct {
	first, prev dscp.CodePoint
	begun       bool
}

// A decision is what a chain does with one segment.
type decision struct {
	verdict Verdict        // the most severe of its models' verdicts
	model   string         // the model that returned it
	out     dscp.CodePoint // the mark with which the segment travels on
	delay   time.Duration  // the sum of its models' delays

	reporter string // the first model that returned Report
}

// firstReason returns the reason for the verdict on the first mark of a direction.
func (d decision) firstReason(dir Direction, cp dscp.CodePoint) string {
	if d.verdict == Pass {
		return ""
	}
	return fmt.Sprintf("%s: the %v began with %v", d.model, dir.From(), cp)
}

// changeReason returns the reason for the verdict on a change.
func (d decision) changeReason(dir Direction, from, to dscp.CodePoint) string {
	if d.verdict == Pass {
		return ""
	}
	return fmt.Sprintf("%s: the %v's mark went from %v to %v", d.model, dir.From(), from, to)
}

// payloadReason returns the reason for the verdict on payload under an unchanged
// mark.
func (d decision) payloadReason(dir Direction, cp dscp.CodePoint) string {
	return fmt.Sprintf("%s: the %v sent data marked %v", d.model, dir.From(), cp)
}

// withoutReport returns d as it would be if no model had returned Report.
func (d decision) withoutReport() decision {
	if d.verdict.withoutDelay() == Report {
		d.verdict, d.model = DelayBy(d.verdict.Delay()), ""
	}
	d.reporter = ""
	return d
}

// newChain returns the chain of these models; it leaves nil ones out.
func newChain(models []Model, inside Side) chain {
	c := chain{inside: inside}
	for _, m := range models {
		if m != nil {
			c.models = append(c.models, namedModel{m, modelName(m)})
		}
	}
	return c
}

// history returns an empty history that fits c.
func (c chain) history() history {
	return make(history, len(c.models))
}

// judge calls the models with s, in order, until one ends the flow. It takes First
// and Prev from h, not from s, and updates h. It fails if a model panics or delays a
// handshake.
func (c chain) judge(s Segment, h history) (d decision, err error) {
	d.out = s.DSCP
	if !c.inside.includes(s.Direction) {
		return d, nil
	}
	var running string
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{model: running, value: v, stack: debug.Stack()}
		}
	}()
	for i, m := range c.models {
		running = m.name
		seen := &h[i]
		if !seen.begun {
			*seen = modelHistory{first: d.out, prev: d.out, begun: true}
		}
		s.DSCP, s.First, s.Prev = d.out, seen.first, seen.prev
		v := m.model(s)
		if v.Delay() > 0 && s.Handshake {
			return d, fmt.Errorf("dscptest: model %s delays a handshake, which a box cannot do", m.name)
		}
		if v.withoutDelay() == Report && d.reporter == "" {
			d.reporter = m.name
		}
		seen.prev = d.out
		if cp, ok := v.Mark(); ok {
			if cp == d.out {
				v = v.withoutMark() // nothing was rewritten
			}
			d.out = cp
		}
		d.delay = min(d.delay+v.Delay(), maxDelay)
		if v.ends() {
			v = v.withoutDelay() // nothing is forwarded
		}
		if v.harder(d.verdict) {
			d.verdict, d.model = v, m.name
		}
		if v.ends() {
			break
		}
	}
	return d, nil
}

// dropsSYNs returns the marks of the SYNs that c drops. It calls the models with a
// SYN and a SYN-ACK of each of the 64 marks, so a model that cannot work fails at
// once.
func (c chain) dropsSYNs(network string) (kernel.MarkSet, error) {
	var dropped kernel.MarkSet
	for cp := range dscp.CodePoint(64) {
		s := Segment{Network: network, Handshake: true, DSCP: cp}
		d, err := c.judge(s, c.history())
		if err != nil {
			return 0, err
		}
		if v := d.verdict.withoutDelay(); v == Drop || v == Blackhole {
			dropped |= 1 << cp
		}
		s.Direction = ServerToClient
		if _, err := c.judge(s, c.history()); err != nil {
			return 0, err
		}
	}
	return dropped, nil
}

// judgesLater reports whether a model of c may do anything about what direction d
// shows after its handshake. It tries the first byte and a very late one, so it misses
// a model that acts only between them.
func (c chain) judgesLater(network string, d Direction) (bool, error) {
	for first := range dscp.CodePoint(64) {
		for later := range dscp.CodePoint(64) {
			h := c.history()
			if _, err := c.judge(Segment{Network: network, Direction: d, Handshake: true, DSCP: first}, h); err != nil {
				return false, err
			}
			for _, offset := range [...]int64{0, 1 << 62} {
				r, err := c.judge(Segment{Network: network, Direction: d, DSCP: later, Offset: offset}, h)
				if err != nil {
					return false, err
				}
				if r.verdict != Pass {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// closureSuffix ends the name of a function literal: ".func1", ".func2.1". The
// numbers count within the function around it.
var closureSuffix = regexp.MustCompile(`(\.func\d+(\.\d+)*)+$`)

// modelName returns the bare name of the function m, or of the function that
// returned it: "VMware", "DropMarked".
func modelName(m Model) string {
	name := runtime.FuncForPC(reflect.ValueOf(m).Pointer()).Name()
	name = closureSuffix.ReplaceAllString(name, "")
	name = strings.TrimSuffix(name, "-fm") // a method value
	return name[strings.LastIndexByte(name, '.')+1:]
}

// A panicError is the error for a model that panicked.
type panicError struct {
	model string
	value any
	stack []byte
}

func (e *panicError) Error() string {
	return fmt.Sprintf("dscptest: model %s panicked: %v\n%s", e.model, e.value, e.stack)
}
