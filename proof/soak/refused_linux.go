package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/godscp/godscp/dscp"
)

// refused dials an address without a listener.
func refused(w *worker) error {
	d, _ := w.dialer()
	if w.chance(2) {
		d.Fallback = []dscp.CodePoint{w.mark(), w.mark()}
	}
	c, err := w.dialSomehow(context.Background(), d, one(w, w.nobody).String())
	if err == nil {
		c.Close()
	}
	return w.tally.must("refused", err, refusal)
}

// cancel ends a dial at a random moment.
func cancel(w *worker) (err error) {
	address := one(w, w.servers).address()
	d, _ := w.dialer()
	if w.chance(2) {
		var b *box
		if b, err = one(w, w.places).enter(w); err != nil {
			return err
		}
		defer b.done(&err)
		address = b.address()
		if len(b.drops) > 0 {
			d.DSCP = one(w, b.drops)
		}
	}
	if w.chance(2) {
		d.Fallback, d.FallbackDelay = []dscp.CodePoint{w.mark(), dscp.DF}, w.between(1, 3*time.Millisecond)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.AfterFunc(w.between(0, 4*time.Millisecond), cancel)
	defer timer.Stop()
	c, err := d.DialContext(ctx, "tcp", address)
	if err == nil {
		return c.Close()
	}
	return w.tally.may("cancelled", err, cancelled)
}

// closeListener closes a listener while connections arrive. One connection stays open
// and so keeps the port, so that later ones reach no other listener.
func closeListener(w *worker) error {
	bind := one(w, []string{"127.0.0.1:0", "[::1]:0"})
	l, err := listenConfig(w.mark()).Listen(context.Background(), "tcp", bind)
	if err != nil {
		return err
	}
	d, _ := w.dialer()
	first, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer first.Close()
	keeper, err := l.Accept()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer keeper.Close()
	var running sync.WaitGroup
	var mu sync.Mutex
	var wrong error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		wrong = errors.Join(wrong, err)
	}
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				note(w.tally.must("listener closed, accept", err, closed))
				return
			}
			c.Close()
		}
	})
	stop := make(chan struct{})
	for range 3 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					note(w.tally.may("listener closed, dial", err, refusal, reset))
					continue
				}
				_, err = io.Copy(io.Discard, c)
				note(w.tally.may("listener closed, read", err, reset))
				c.Close()
			}
		})
	}
	time.Sleep(w.between(0, 5*time.Millisecond))
	err = l.Close()
	time.Sleep(w.between(0, 2*time.Millisecond))
	close(stop)
	running.Wait()
	return errors.Join(err, wrong)
}
