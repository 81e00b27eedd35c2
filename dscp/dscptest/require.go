package dscptest

import (
	"errors"
	"fmt"
	"testing"
)

// A Capability is something that a test needs of the system it runs on.
type Capability uint8

// The capabilities that [Require] can look for.
const (
	BoxIPv4 Capability = 1 + iota // a box before an IPv4 upstream
	BoxIPv6                       // a box before an IPv6 upstream
	DropSYN                       // a model may lose SYNs, see [DropMarked]
)

// String says what the capability is.
func (c Capability) String() string {
	switch c {
	case BoxIPv4:
		return "a box before an IPv4 upstream"
	case BoxIPv6:
		return "a box before an IPv6 upstream"
	case DropSYN:
		return "losing SYNs"
	}
	return fmt.Sprintf("capability %d", uint8(c))
}

// Require skips the test unless the system has all of the capabilities, which
// it finds out by trying. If the environment variable CI is set, the test fails
// instead: where tests count, one that cannot run must not look green.
func Require(tb testing.TB, capabilities ...Capability) {
	tb.Helper()
	for _, c := range capabilities {
		if err := c.try(); err != nil {
			lacks(tb, fmt.Errorf("dscptest: %v is not to be had: %w", c, err))
			return
		}
	}
}

// try finds out whether the system has c. Nothing answers at these upstreams,
// and nothing asks them.
func (c Capability) try() error {
	const nobody4, nobody6 = "127.0.0.1:9", "[::1]:9"
	switch c {
	case BoxIPv4:
		return tryBox(nobody4)
	case BoxIPv6:
		return tryBox(nobody6)
	case DropSYN:
		return tryBox(nobody4, DropMarked())
	}
	return errors.New("no such capability")
}

// tryBox starts a box and closes it.
func tryBox(upstream string, models ...Model) error {
	b, err := Start(upstream, models...)
	if err != nil {
		return err
	}
	return b.Close()
}
