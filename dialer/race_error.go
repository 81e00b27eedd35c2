package dialer

import (
	"errors"
	"strings"
)

// A RaceError tells what each attempt of a [Race] came to that none has won.
// [errors.Is] and [errors.As] look into all of them.
type RaceError struct {
	// Errs has one error for each attempt, in their order: its own, or one that
	// says that it was not started, or was still running and given up when
	// another one said [Stop].
	Errs []error

	stopped bool
}

func (e *RaceError) Error() string {
	if len(e.Errs) == 0 {
		return "dialer: no attempt to make"
	}
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns e.Errs.
func (e *RaceError) Unwrap() []error { return e.Errs }

// Timeout reports whether more time could have helped: at least one attempt
// timed out, and none said [Stop].
func (e *RaceError) Timeout() bool {
	if e.stopped {
		return false
	}
	for _, err := range e.Errs {
		t, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err)
		if ok && t.Timeout() {
			return true
		}
	}
	return false
}

// Temporary reports the same as Timeout. With it a RaceError is a [net.Error].
func (e *RaceError) Temporary() bool { return e.Timeout() }
