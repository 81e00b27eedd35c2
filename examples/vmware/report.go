package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A printer prints rows, each when it is known.
type printer interface {
	row(row) error
}

// A table prints aligned columns. The widths are fixed from the start, so that it can
// print each row at once.
type table struct {
	w      io.Writer
	widths [3]int   // of all columns but the last
	head   []string // nil after it has been printed
}

// newTable returns a table with a first column for the names of list.
func newTable(w io.Writer, list []strategy) *table {
	t := &table{w: w, head: []string{"strategy", "marks, the SYN's first", "the box", "what the program saw"}}
	t.widths = [3]int{0, len(t.head[1]), len("reset, precedence 0 to 2")}
	for _, s := range list {
		t.widths[0] = max(t.widths[0], utf8.RuneCountInString(s.name))
	}
	return t
}

func (t *table) row(r row) error {
	if t.head != nil {
		if err := t.line(t.head); err != nil {
			return err
		}
		t.head = nil
	}
	program := fmt.Sprintf("%s: %s", r.outcome, r.program)
	if !r.ok() {
		program += fmt.Sprintf("  << expected: %s", r.wanted())
	}
	box := r.box
	if box == "" {
		box = "-"
	}
	return t.line([]string{r.strategy, r.marks.String(), box, program})
}

func (t *table) line(cells []string) error {
	var b strings.Builder
	for i, cell := range cells {
		b.WriteString(cell)
		if i < len(t.widths) {
			b.WriteString(strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(cell))+2))
		}
	}
	_, err := fmt.Fprintln(t.w, b.String())
	return err
}

// A jsonPrinter prints one object per row.
type jsonPrinter struct{ *json.Encoder }

func newJSON(w io.Writer) jsonPrinter {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return jsonPrinter{e}
}

func (p jsonPrinter) row(r row) error {
	return p.Encode(struct {
		Strategy string  `json:"strategy"`
		SYN      mark    `json:"syn"`
		After    mark    `json:"after"`
		Marks    marks   `json:"marks"`
		Box      string  `json:"box"`
		Program  string  `json:"program"`
		Outcome  outcome `json:"outcome"`
		Expected outcome `json:"expected"`
		OK       bool    `json:"ok"`
	}{r.strategy, r.syn, r.after, r.marks, r.box, r.program, r.outcome, r.expected, r.ok()})
}
