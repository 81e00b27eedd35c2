package main

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// A ticker shows the progress on one line of a terminal. A nil ticker shows nothing.
type ticker struct {
	mu sync.Mutex
	w  io.Writer
}

// newTicker returns nil if w is not a terminal.
func newTicker(w io.Writer) *ticker {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return &ticker{w: w}
}

const clearLine = "\r\x1b[K"

func (k *ticker) show(t target, tr trial, p progress) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprintf(k.w, clearLine+"%s  %d of %d  %v: %s", t.text, p.done, p.planned, tr.probe, tr.outcome)
}

func (k *ticker) clear() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	fmt.Fprint(k.w, clearLine)
}
