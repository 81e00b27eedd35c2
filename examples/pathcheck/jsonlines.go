package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp"
)

// A jsonWriter writes one object per line. Every line is complete, so that one file can
// have the output of many machines.
type jsonWriter struct {
	mu      sync.Mutex
	w       io.Writer
	machine string
}

// head is the beginning of every line.
type head struct {
	Kind    string `json:"kind"` // "trial" or "verdict"
	Machine string `json:"machine"`
	Target  string `json:"target"`
	Address string `json:"address,omitempty"`
	Scheme  string `json:"scheme,omitempty"`
}

type trialLine struct {
	head
	Time    time.Time       `json:"time"`
	Probe   string          `json:"probe"`
	DSCP    dscp.CodePoint  `json:"dscp"`
	To      *dscp.CodePoint `json:"to,omitempty"`
	Outcome outcome         `json:"outcome"`
	Stage   stage           `json:"stage"`
	Error   string          `json:"error,omitempty"`
	Seconds float64         `json:"seconds"`
	Arrived *sighting       `json:"arrived,omitempty"`
}

type verdictLine struct {
	head
	State    state         `json:"state"`
	Why      string        `json:"why,omitempty"`
	Findings []findingLine `json:"findings"`
	Unsure   []string      `json:"unsure,omitempty"`
	Rewrites string        `json:"rewrites,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
	SSH      string        `json:"ssh_config,omitempty"`
	Dialer   string        `json:"dialer,omitempty"`
	Tried    []attempt     `json:"tried,omitempty"` // all settings that were tried
	Trials   int           `json:"trials"`
	Failed   int           `json:"failed"`
	Controls int           `json:"controls"`
	Broken   int           `json:"controls_failed"`
}

type findingLine struct {
	Text   string   `json:"text"`
	Probes []string `json:"probes"`
	Chance float64  `json:"chance"` // the largest of the probes
}

func (j *jsonWriter) head(kind string, t target) head {
	h := head{Kind: kind, Machine: j.machine, Target: t.text, Scheme: t.scheme}
	if t.addr.IsValid() {
		h.Address = t.addr.String()
	}
	return h
}

func (j *jsonWriter) trial(t target, tr trial) error {
	line := trialLine{
		head: j.head("trial", t), Time: tr.begin, Probe: tr.probe.String(), DSCP: tr.probe.mark,
		Outcome: tr.outcome, Stage: tr.stage, Seconds: tr.took.Seconds(), Arrived: tr.seen,
	}
	if tr.probe.changes {
		line.To = &tr.probe.to
	}
	if tr.err != nil {
		line.Error = tr.err.Error()
	}
	return j.write(line)
}

func (j *jsonWriter) verdict(t target, d diagnosis) error {
	line := verdictLine{
		head: j.head("verdict", t), State: d.state, Why: d.why, Findings: []findingLine{},
		Rewrites: d.rewrites, Notes: d.notes, SSH: d.cure.ssh, Dialer: d.cure.dialer, Tried: d.tried,
		Trials: d.trials.total(), Failed: d.trials.failed(), Controls: d.controls.total(), Broken: d.controls.failed(),
	}
	for _, f := range d.findings {
		fl := findingLine{Text: f.text}
		for _, p := range f.seen {
			fl.Probes = append(fl.Probes, p.String())
		}
		for _, t := range f.shown {
			fl.Probes = append(fl.Probes, t.probe.String())
			fl.Chance = max(fl.Chance, byChance(t, d.controls))
		}
		line.Findings = append(line.Findings, fl)
	}
	for _, t := range d.unsure {
		line.Unsure = append(line.Unsure, t.probe.String())
	}
	return j.write(line)
}

func (j *jsonWriter) write(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.w.Write(append(text, '\n'))
	return err
}
