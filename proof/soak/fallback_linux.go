package main

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/godscp/godscp/dscp"
)

// fallback dials with several marks: through a box that drops some of them, or with
// so short a delay that several connections come up.
func fallback(w *worker) (err error) {
	hasty := w.chance(2)
	b, err := w.where(func(s *setup) bool { return hasty || len(s.drops) > 0 })
	if b == nil || err != nil {
		return err
	}
	defer b.done(&err)
	d, _ := w.dialer()
	d.Fallback = []dscp.CodePoint{w.mark(), w.mark(), dscp.DF}
	if d.FallbackDelay = w.between(10*time.Millisecond, 80*time.Millisecond); hasty {
		d.FallbackDelay = w.between(1, 100*time.Microsecond)
	}
	if len(b.drops) > 0 {
		d.DSCP = one(w, b.drops)
	}
	if w.chance(2) {
		d.Memory = &w.memory
	}
	if w.chance(40) {
		w.memory.Clear()
	}
	c, err := w.dial(d, b.address())
	if err != nil {
		return err
	}
	defer c.Close()
	b.visited(c, visit{})
	marks := []dscp.CodePoint{shown(d, d.DSCP)}
	for _, cp := range d.Fallback {
		marks = append(marks, shown(d, cp))
	}
	if slices.Contains(b.drops, c.DSCP()) || !slices.Contains(marks, c.DSCP()) {
		return fmt.Errorf("a connection came up with %v: tried %v, dropped %v", c.DSCP(), marks, b.drops)
	}
	_, err = w.complete(c, w.exchange(), c.DSCP())
	return err
}

// loseSYN dials only with marks that a box drops.
func loseSYN(w *worker) (err error) {
	b, err := w.where(func(s *setup) bool { return len(s.drops) > 0 })
	if b == nil || err != nil {
		return err
	}
	defer b.done(&err)
	d := &dscp.Dialer{DSCP: one(w, b.drops), NetDialer: &net.Dialer{Timeout: w.between(20*time.Millisecond, 100*time.Millisecond)}}
	if w.chance(3) {
		d.Fallback = b.drops
	}
	c, err := d.Dial("tcp", b.address())
	if err == nil {
		c.Close()
	}
	return w.tally.must("lost SYN", err, timeout)
}
