package dscp

import (
	"fmt"
	"sync"

	"github.com/godscp/godscp/internal/tos"
)

// A watch has what a pin knows of the functions that run on its socket at this
// moment and of which nobody knows what they do.
//
// Several may run at once, since one may call, or wait for, another. So what the
// socket held when none of them ran is what is put back, and whoever was at work
// when a change was found is told: which of them made it cannot be seen.
type watch struct {
	mu      sync.Mutex // held for as long as options are read and written, never while a function runs
	running int
	before  marks // what the socket held when none ran
	changes int   // that have been found
	latest  error // of them
}

// watch runs f, compares the marks of the socket before and after, and puts back
// what has changed, to what it was just before: not to the pinned mark, which
// somebody may have left by one of the ways out. To set the pinned mark is no
// offence, on either option. f does not run at all while the marks cannot be read.
func (p *pin) watch(fd uintptr, f func()) (refused error) {
	changes, err := p.begin(fd)
	if err != nil {
		return err
	}
	defer func() { refused = p.end(fd, changes) }() // also if f panics
	f()
	return nil
}

// begin returns how many changes there were before.
func (p *pin) begin(fd uintptr) (changes int, err error) {
	w := &p.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == 0 {
		if w.before, err = p.readAll(fd); err != nil {
			return 0, err
		}
	}
	w.running++
	return w.changes, nil
}

// end returns the reason for which a function that began after so many changes is
// refused.
func (p *pin) end(fd uintptr, changes int) error {
	w := &p.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if err := p.restore(fd, w.before); err != nil {
		w.changes++
		w.latest = err
	}
	if w.changes != changes {
		return w.latest
	}
	return nil
}

// restore puts back what is not as before, and returns why it had to.
func (p *pin) restore(fd uintptr, before marks) error {
	after, refused := p.read(fd)
	changed := before.has // what cannot be read may have changed
	if refused == nil {
		changed, refused = p.foreign(after, before)
	}
	if refused == nil {
		return nil
	}
	if err := before.write(fd, changed); err != nil {
		return fmt.Errorf("%w, and restoring it failed: %w", refused, err)
	}
	return refused
}

// foreign returns the options that hold another mark than before and than the
// pinned one, with an error that matches ErrMidFlow if there are any.
func (p *pin) foreign(after, before marks) (changed [2]bool, refused error) {
	for _, opt := range tos.Both {
		if cp, other := after.other(before, opt); other && cp != p.pinned(opt) {
			changed[opt], refused = true, p.midFlow(opt, cp)
		}
	}
	return changed, refused
}
