package dscptest

import (
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// A chain is the models of a box in their order. It holds no state: what a
// flow has shown is in a history, one for each direction.
type chain struct {
	links  []link
	inside Side
}

// A link is one model and its name.
type link struct {
	model Model
	name  string
}

// A history is what each model of a chain has been shown in one direction of
// one flow. Models that stand behind a rewriter see other marks than those
// before it.
type history []shown

// shown is what one model has been shown.
type shown struct {
	first, prev dscp.CodePoint
	begun       bool
}

// A ruling is what a chain makes of one segment.
type ruling struct {
	verdict Verdict        // the hardest of its models' verdicts
	model   string         // the model that it came from
	out     dscp.CodePoint // the mark with which the segment travels on

	reporter string // the first model that said Report, whatever others said
}

// newChain leaves nil models out.
func newChain(models []Model, inside Side) chain {
	c := chain{inside: inside}
	for _, m := range models {
		if m != nil {
			c.links = append(c.links, link{m, modelName(m)})
		}
	}
	return c
}

// history returns an empty history that fits c.
func (c chain) history() history {
	return make(history, len(c.links))
}

// judge shows s to the models, in order, until one ends the flow. Of s only
// Network, Direction, Handshake, DSCP and Offset count; the rest comes from h,
// which is brought up to date. A model that panics makes an error.
func (c chain) judge(s Segment, h history) (r ruling, err error) {
	r.out = s.DSCP
	if !c.inside.includes(s.Direction) {
		return r, nil
	}
	var running string
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{model: running, value: v, stack: debug.Stack()}
		}
	}()
	for i, l := range c.links {
		running = l.name
		seen := &h[i]
		if !seen.begun {
			*seen = shown{first: r.out, prev: r.out, begun: true}
		}
		s.DSCP, s.First, s.Prev = r.out, seen.first, seen.prev
		v := l.model(s)
		if v == Report && r.reporter == "" {
			r.reporter = l.name
		}
		seen.prev = r.out
		if cp, ok := v.Mark(); ok {
			if cp == r.out {
				continue // nothing was rewritten
			}
			r.out = cp
		}
		if v.harder(r.verdict) {
			r.verdict, r.model = v, l.name
		}
		if v.ends() {
			break
		}
	}
	return r, nil
}

// losesSYNs returns the marks of the SYNs that c loses: it is asked about each
// of the 64.
func (c chain) losesSYNs(network string) (markSet, error) {
	var lost markSet
	for cp := range dscp.CodePoint(64) {
		r, err := c.judge(Segment{Network: network, Handshake: true, DSCP: cp}, c.history())
		if err != nil {
			return 0, err
		}
		if r.verdict == Drop || r.verdict == Blackhole {
			lost |= 1 << cp
		}
	}
	return lost, nil
}

// judgesLater reports whether a model of c could do anything about what
// direction d shows after its handshake. It asks about the first byte and about
// a very late one: what a model does about offsets between them alone escapes.
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

// modelName returns the bare name of the function that m is, or of the one that
// made it: "VMware", "DropMarked".
func modelName(m Model) string {
	name := runtime.FuncForPC(reflect.ValueOf(m).Pointer()).Name()
	name = closureSuffix.ReplaceAllString(name, "")
	name = strings.TrimSuffix(name, "-fm") // a method value
	return name[strings.LastIndexByte(name, '.')+1:]
}

// A panicError says that a model panicked.
type panicError struct {
	model string
	value any
	stack []byte
}

func (e *panicError) Error() string {
	return fmt.Sprintf("dscptest: model %s panicked: %v\n%s", e.model, e.value, e.stack)
}
