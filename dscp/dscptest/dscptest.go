package dscptest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest/internal/kernel"
)

// NewMiddlebox starts a box in front of upstream and closes it when the test ends.
// The test then fails for each flow about which a model said [Report], and for a
// model that panicked.
//
// Where the system cannot sense marks the test is skipped with the reason. It
// fails instead if the environment variable CI is set and the system is Linux,
// which should be able to, or if DSCPTEST_REQUIRE is set. Any other failure to
// start is fatal.
//
// It is short for [Config.NewMiddlebox] with an Upstream and Models.
func NewMiddlebox(tb testing.TB, upstream string, models ...Model) *Middlebox {
	if tb != nil {
		tb.Helper()
	}
	return Config{Upstream: upstream, Models: models}.NewMiddlebox(tb)
}

// NewMiddlebox starts the box for a test, which it treats as the function
// [NewMiddlebox] does.
func (c Config) NewMiddlebox(tb testing.TB) *Middlebox {
	if tb == nil {
		panic("dscptest: NewMiddlebox needs a testing.TB; programs use Start")
	}
	tb.Helper()
	b, err := c.Start()
	if err != nil {
		stop(tb, err)
		return nil
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
		for _, f := range b.Flows() {
			complain(tb, f)
		}
	})
	return b
}

// A Capability is something that a test needs of the system it runs on.
type Capability uint8

// The capabilities that [Require] can look for.
const (
	BoxIPv4 Capability = 1 + iota // a box in front of an IPv4 upstream
	BoxIPv6                       // a box in front of an IPv6 upstream
	DropSYN                       // a model may drop SYNs, see [DropMarked]
)

// String returns the capability in words, such as "a middlebox for IPv4".
func (c Capability) String() string {
	switch c {
	case BoxIPv4:
		return "a middlebox for IPv4"
	case BoxIPv6:
		return "a middlebox for IPv6"
	case DropSYN:
		return "dropping SYNs"
	}
	return fmt.Sprintf("capability %d", uint8(c))
}

// Require skips the test unless the system has all of the capabilities. It tries
// each. Under the conditions that [NewMiddlebox] names it fails the test instead:
// in CI a test that cannot run must not look as if it had passed.
func Require(tb testing.TB, capabilities ...Capability) {
	tb.Helper()
	for _, c := range capabilities {
		if err := c.try(); err != nil {
			skip(tb, fmt.Errorf("dscptest: %v is unavailable: %w", c, err))
			return
		}
	}
}

// try finds out whether the system has c. The boxes that it starts never connect to
// their upstreams.
func (c Capability) try() error {
	const upstream4, upstream6 = "127.0.0.1:9", "[::1]:9"
	switch c {
	case BoxIPv4:
		return tryBox(upstream4)
	case BoxIPv6:
		return tryBox(upstream6)
	case DropSYN:
		return tryBox(upstream4, DropMarked())
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

// RequireMark stops the test unless the peer of an accepted connection marks it
// with cp. The peer's SYN must have arrived with cp (see [SYN]). If the peer's socket
// is in this network namespace and the kernel reports its option, that must be set to
// cp now. RequireMark is for tests that check a mark without a box.
func RequireMark(tb testing.TB, c net.Conn, cp dscp.CodePoint) {
	tb.Helper()
	got, err := SYN(c)
	if err != nil {
		stop(tb, err)
		return
	}
	if got != cp {
		tb.Fatalf("dscptest: the SYN of %v carried %v, not %v", c.RemoteAddr(), got, cp)
		return
	}
	tcp, err := bareTCP(c)
	if err != nil {
		tb.Fatal(err)
		return
	}
	if now, ok := kernel.PeerMark(tcp); ok && now != cp {
		tb.Fatalf("dscptest: the SYN of %v carried %v, and its socket is set to %v now", c.RemoteAddr(), cp, now)
	}
}

// SYN returns the mark with which the SYN of an accepted connection arrived. It
// unwraps connections that have a NetConn method, like those of crypto/tls.
//
// The listener must have saved the SYN. Listeners of [dscp.ListenConfig] do, with
// any code point and with none. On another listener with TCP_SAVE_SYN the kernel
// returns each SYN once, so a second call fails.
func SYN(c net.Conn) (dscp.CodePoint, error) {
	if p, ok := dscp.Of(c); ok {
		if cp, ok := p.PeerDSCP(); ok {
			return cp, nil
		}
		return 0, kernel.ErrNoSavedSYN
	}
	tcp, err := bareTCP(c)
	if err != nil {
		return 0, err
	}
	return kernel.SavedSYN(tcp)
}

// bareTCP finds the TCP connection under c.
func bareTCP(c net.Conn) (*net.TCPConn, error) {
	for {
		switch under := c.(type) {
		case *net.TCPConn:
			return under, nil
		case *dscp.Conn:
			return under.TCPConn, nil
		case interface{ NetConn() net.Conn }:
			c = under.NetConn()
		default:
			return nil, fmt.Errorf("dscptest: no TCP connection under a %T", c)
		}
	}
}

// stop ends the test because there is no box or no SYN. It skips the test if the
// system lacks something, unless CI is set.
func stop(tb testing.TB, err error) {
	tb.Helper()
	if _, ok := errors.AsType[*dscp.UnsupportedError](err); ok {
		skip(tb, err)
		return
	}
	tb.Fatal(err)
}

// skip skips the test for what the system lacks, or fails it where it has to run.
func skip(tb testing.TB, err error) {
	tb.Helper()
	why := mustRun(runtime.GOOS, os.Getenv)
	if why == "" {
		tb.Skip(err)
		return
	}
	tb.Fatalf("%v (would be skipped, but %s is set)", err, why)
}

// mustRun returns the name of the environment variable because of which a test must
// not be skipped, or "". CI counts on Linux only: a library's tests also run on its
// users' macOS and Windows runners, where no box can run.
func mustRun(goos string, getenv func(string) string) string {
	if goos == "linux" && getenv("CI") != "" {
		return "CI"
	}
	if getenv(requireVariable) != "" {
		return requireVariable
	}
	return ""
}

// requireVariable is the environment variable that makes a test fail on any system
// instead of being skipped.
const requireVariable = "DSCPTEST_REQUIRE"

// complain fails the test if a model reported the flow or panicked.
func complain(tb testing.TB, f Flow) {
	tb.Helper()
	if f.Reported != "" {
		tb.Error(complaint(f))
	}
	if p, ok := errors.AsType[*panicError](f.Err); ok {
		tb.Error(p)
	}
}

// complaint describes a reported flow: its first marks and its changes, in order.
func complaint(f Flow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dscptest: flow %d, %v → %v: %s\n", f.ID, f.Client, f.Upstream, f.Reported)
	fmt.Fprintf(&b, "\tbegan with %v", f.SYN)
	if f.Answered {
		fmt.Fprintf(&b, ", was answered with %v", f.SYNACK)
	}
	for _, c := range f.Changes {
		fmt.Fprintf(&b, "\n\t%v after %v", c, c.At.Sub(f.Start).Round(time.Microsecond))
		if c.Reason != "" {
			fmt.Fprintf(&b, " (%s)", c.Reason)
		}
	}
	return b.String()
}
