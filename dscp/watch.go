package dscp

import (
	"fmt"
	"sync"

	"github.com/godscp/godscp/internal/tos"
)

// A watch counts the unknown functions that run on a socket, and finds what they change.
//
// Several may run at once, since one may call another or wait for it. So the guard
// restores what the socket held when none of them ran. All functions that ran when a
// change was found get the error, since it is not known which of them made it.
type watch struct {
	mu      sync.Mutex // held for as long as options are read and written, never while a function runs
	running int
	before  marks // what the socket held when none ran
	changes int   // the number of changes found
	latest  error // the error of the latest change
}

// watch runs f and compares the marks of the socket before and after. If f has changed a
// mark, watch restores it and returns an error. It restores the mark from before f, not
// the pinned one, since the mark may have been changed through File or the embedded
// conn. f may set the pinned mark, with either option. If the marks cannot be read, f
// does not run.
func (p *pin) watch(fd uintptr, f func()) (refused error) {
	changes, err := p.begin(fd)
	if err != nil {
		return err
	}
	defer func() { refused = p.end(fd, changes) }() // even if f panics
	f()
	return nil
}

// begin counts a function that starts, and returns the number of changes found so far.
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

// end counts a function that has ended. It returns the error of that function if more
// changes have been found than when it began.
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

// restore restores the marks that are not as before, and returns the reason.
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
