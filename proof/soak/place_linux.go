package main

import (
	"sync"
)

// A place has a box, and after a number of users another.
type place struct {
	*site
	mu   sync.Mutex
	now  *box
	left int // users until the next one
}

// enter returns the box, or a new one after enough users. The caller has to leave it.
func (p *place) enter(w *worker) (*box, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 {
		if err := p.vacate(); err != nil {
			return nil, err
		}
		b, err := w.start(one(w, setups))
		if err != nil {
			return nil, err
		}
		p.now, p.left = b, 20+w.rng.IntN(200)
	}
	p.left--
	p.now.enter()
	return p.now, nil
}

// vacate leaves the box. p.mu is held.
func (p *place) vacate() error {
	b := p.now
	if p.now = nil; b == nil {
		return nil
	}
	return b.leave()
}

func (p *place) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.vacate()
}

// where returns a box with a property, if there is one.
func (w *worker) where(suits func(*setup) bool) (*box, error) {
	for _, i := range w.rng.Perm(len(w.places)) {
		b, err := w.places[i].enter(w)
		if err != nil {
			return nil, err
		}
		if suits(b.setup) {
			return b, nil
		}
		if err := b.leave(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
