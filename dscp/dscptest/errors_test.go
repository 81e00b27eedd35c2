package dscptest_test

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp/dscptest"
)

// An errorText is a failure, made by a real call, and the error that the caller gets.
type errorText struct {
	name string
	call func(t *testing.T) error
	text string // the whole text, with "port" for each port number
	is   error  // what errors.Is finds, or nil
	as   any    // a pointer to the type that errors.As finds, or nil
}

// portNumber matches an address of these tests.
var portNumber = regexp.MustCompile(`(127\.0\.0\.1|\[::1?\]):\d+`)

// run makes the call and compares its error.
func (e errorText) run(t *testing.T) {
	err := e.call(t)
	require.Error(t, err)
	text := portNumber.ReplaceAllString(err.Error(), "$1:port")
	assert.Equal(t, e.text, text)
	assert.True(t, strings.HasPrefix(text, "dscptest: "), "the package is named first")
	if e.is != nil {
		assert.ErrorIs(t, err, e.is)
	}
	if e.as != nil {
		assert.ErrorAs(t, err, e.as)
	}
}

// TestErrorTextsOfConfig holds the texts for a Config that cannot be started anywhere.
func TestErrorTextsOfConfig(t *testing.T) {
	t.Parallel()
	start := func(c dscptest.Config) func(*testing.T) error {
		return func(t *testing.T) error {
			box, err := c.Start()
			if err == nil {
				box.Close()
			}
			return err
		}
	}
	const server = "127.0.0.1:22" // no row connects to it
	var addr *net.AddrError
	for _, e := range []errorText{
		{name: "no upstream", call: start(dscptest.Config{}),
			text: `dscptest: Config.Upstream is empty (want host:port)`},
		{name: "a URL", call: start(dscptest.Config{Upstream: "http://127.0.0.1:22"}),
			text: `dscptest: upstream "http://127.0.0.1:port": want host:port, not a URL`},
		{name: "no port", call: start(dscptest.Config{Upstream: "127.0.0.1"}), as: &addr,
			text: `dscptest: upstream "127.0.0.1": address 127.0.0.1: missing port in address`},
		{name: "no host", call: start(dscptest.Config{Upstream: ":22"}),
			text: `dscptest: upstream ":22": host and port are needed`},
		{name: "a negative Delay", call: start(dscptest.Config{Upstream: server, Delay: -time.Second}),
			text: `dscptest: Config.Delay is negative: -1s`},
		{name: "a negative SegmentSize", call: start(dscptest.Config{Upstream: server, SegmentSize: -1}),
			text: `dscptest: Config.SegmentSize is negative: -1`},
		{name: "an unknown Inside", call: start(dscptest.Config{Upstream: server, Inside: 3}),
			text: `dscptest: Config.Inside is 3: it must be Client, Server or zero`},
		{name: "SYN of a conn that is not TCP",
			call: func(t *testing.T) error {
				a, b := net.Pipe()
				defer b.Close()
				defer a.Close()
				_, err := dscptest.SYN(a)
				return err
			},
			text: `dscptest: no TCP connection under a *net.pipe`},
	} {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			e.run(t)
		})
	}
}
