package main

import (
	"context"
	"errors"
)

// A couple is two children that have the two ends of the same connections.
type couple struct {
	dialler, acceptor *farEnd
	hold              Hold
}

// startCouple starts a couple. If it fails, the caller must call Close all the same.
func startCouple(ctx context.Context, hold Hold) (*couple, error) {
	c := &couple{hold: hold}
	var err error
	if c.dialler, err = startFarEnd(ctx); err != nil {
		return c, err
	}
	if c.acceptor, err = startFarEnd(ctx); err != nil {
		return c, err
	}
	if err := c.acceptor.Call("Holder.Listen", c.hold, &c.hold.Address); err != nil {
		return c, err
	}
	return c, c.dialler.Call("Holder.Call", c.hold, &None{})
}

// open makes all connections, at most a backlog at a time: further SYNs would be lost, and
// sent again a second later.
func (c *couple) open() error {
	step := backlog()
	for left := c.hold.Conns; left > 0; left -= step {
		n := min(step, left)
		accepting := c.acceptor.Go("Holder.Open", n, &None{}, nil)
		err := c.dialler.Call("Holder.Open", n, &None{})
		if err = errors.Join(err, (<-accepting.Done).Error); err != nil {
			return err
		}
	}
	return nil
}

// look adds the counts of both children to o.
func (c *couple) look(o *opened) error {
	for end, sum := range map[*farEnd]*Held{c.dialler: &o.dialled, c.acceptor: &o.accepted} {
		var held Held
		if err := end.Call("Holder.Look", None{}, &held); err != nil {
			return err
		}
		sum.Conns += held.Conns
		sum.Intact += held.Intact
		sum.Heap += held.Heap
		sum.Goroutines += held.Goroutines
	}
	return nil
}

// Close resets the connections and ends both processes.
func (c *couple) Close() error {
	var errs []error
	for _, end := range []*farEnd{c.dialler, c.acceptor} {
		if end != nil {
			errs = append(errs, end.Call("Holder.Drop", None{}, &None{}), end.Close())
		}
	}
	return errors.Join(errs...)
}
