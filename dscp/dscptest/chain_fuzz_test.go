package dscptest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// modelFrom returns a model that two bytes describe.
func modelFrom(kind, arg byte) Model {
	cp := dscp.CodePoint(arg & 63)
	return [...]Model{
		nil, VMware, FlowKey, OneMark, Bleach, BleachToSPrecedence, BleachSomeToS, RemarkToS, BleachLow, BleachSomeLow,
		Remark(cp), DropMarked(cp), DropMarked(), DropMarkedData(cp), DropMarkedData(),
		func(s Segment) Verdict { return MarkAs(s.Prev) },
		func(s Segment) Verdict {
			if s.Handshake {
				return Pass
			}
			return DelayBy(time.Duration(arg)) | MarkAs(cp)
		},
		func(s Segment) Verdict {
			if s.Offset > int64(arg) {
				return Verdict(arg % 5)
			}
			return Pass
		},
	}[kind%18]
}

// harm is an independent order of the verdicts.
func harm(v Verdict) int {
	if _, ok := v.Mark(); ok {
		return 2
	}
	if v != 0 && v&0xffff == 0 {
		return 1 // a delay
	}
	return map[Verdict]int{Pass: 0, Report: 3, Drop: 4, Blackhole: 5, Reset: 6}[v]
}

// A naive chain keeps every segment that its models were called with.
type naive struct {
	models []Model
	shown  [][]dscp.CodePoint
}

func (n *naive) judge(s Segment) (hardest Verdict, out dscp.CodePoint, delay time.Duration) {
	out = s.DSCP
	for i, m := range n.models {
		if m == nil {
			continue
		}
		n.shown[i] = append(n.shown[i], out)
		seen := n.shown[i]
		s.DSCP, s.First, s.Prev = out, seen[0], seen[max(0, len(seen)-2)]
		v := m(s)
		cp, rewrites := v.Mark()
		delay += v.Delay()
		if rewrites && cp == out {
			v = DelayBy(v.Delay())
		} else if rewrites {
			out = cp
		}
		if harm(v) > harm(hardest) {
			hardest = v
		}
		if harm(v) >= harm(Drop) {
			break
		}
	}
	return hardest, out, delay
}

// FuzzChain compares each decision of a chain of models with that of a naive chain. It
// calls each model twice, and checks that one more model never makes a verdict milder.
func FuzzChain(f *testing.F) {
	f.Add([]byte("\x01\x00"), []byte("\x00\x00\x12\x02"), uint8(0))
	f.Add([]byte("\x0a\x2e\x02\x00\x0b\x2e"), []byte("\x12\x01\x12\x02\x2e\x02\x08\x03"), uint8(1))
	f.Add([]byte("\x05\x00\x03\x00\x01\x00\x0f\x00\x10\x08"), []byte("\x12\x01\x08\x02\x2e\x06\x00\x0e"), uint8(16))
	f.Fuzz(func(t *testing.T, spec, script []byte, how uint8) {
		var models []Model
		foreseeable := true // judgesLater must find it
		for ; len(spec) >= 2 && len(models) < 8; spec = spec[2:] {
			models = append(models, modelFrom(spec[0], spec[1]))
			foreseeable = foreseeable && spec[0]%18 < 15
		}
		network, inside := [...]string{"tcp4", "tcp6", "udp4", "udp6"}[how&3], Side(how>>2%3)
		c, again := newChain(models, inside), newChain(models, inside)
		var h, hAgain [2]history
		var ref [2]naive
		prefixes := make([]naive, len(models)) // of the client's direction
		for d := range 2 {
			h[d], hAgain[d] = c.history(), again.history()
			ref[d] = naive{models, make([][]dscp.CodePoint, len(models))}
		}
		for k := range prefixes {
			prefixes[k] = naive{models[:k], make([][]dscp.CodePoint, k)}
		}
		var acted [2]bool
		for n := 0; len(script) >= 2 && n < 64; script, n = script[2:], n+1 {
			d := Direction(script[1] & 1)
			s := Segment{Network: network, Direction: d, DSCP: dscp.CodePoint(script[0] & 63), Offset: int64(script[1] >> 1), Handshake: n == 0 && isTCP(network)}
			for _, m := range models {
				if m != nil {
					s := s
					s.First, s.Prev = dscp.CodePoint(script[1]&63), dscp.CodePoint(script[1]>>2)
					require.Equal(t, m(s), m(s), "a model is a pure function")
				}
			}
			got, err := c.judge(s, h[d])
			require.NoError(t, err)
			twice, err := again.judge(s, hAgain[d])
			require.NoError(t, err)
			require.Equal(t, got, twice)
			if !inside.includes(d) {
				require.Equal(t, decision{out: s.DSCP}, got)
				continue
			}
			verdict, out, delay := ref[d].judge(s)
			require.Equal(t, verdict, got.verdict)
			require.Equal(t, out, got.out)
			require.Equal(t, delay, got.delay)
			require.Equal(t, got.verdict == Pass, got.model == "")
			require.LessOrEqual(t, got.out, dscp.CodePoint(63))
			acted[d] = acted[d] || got.verdict != Pass && !s.Handshake && n > 0
			if d == ClientToServer {
				for k := range prefixes {
					fewer, _, _ := prefixes[k].judge(s)
					require.LessOrEqual(t, harm(fewer), harm(verdict), "one more model is never milder")
				}
			}
		}
		for d := range 2 {
			if how>>4 == 1 && foreseeable && acted[d] { // it is slow
				later, err := c.judgesLater(network, Direction(d))
				require.NoError(t, err)
				require.True(t, later, "judgesLater must find a model that acts")
			}
		}
		lost, err := c.dropsSYNs(network)
		require.NoError(t, err)
		for cp := range dscp.CodePoint(64) {
			v, _, _ := (&naive{models, make([][]dscp.CodePoint, len(models))}).judge(Segment{Network: network, Handshake: true, DSCP: cp})
			require.Equal(t, inside.includes(ClientToServer) && (v == Drop || v == Blackhole), lost.Has(cp), "SYN marked %v", cp)
		}
	})
}
