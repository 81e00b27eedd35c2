package dscp_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// An errorText is a failure, made by a real call, and the error that the caller gets.
type errorText struct {
	name string
	call func(t *testing.T) error
	text string  // the whole text, with "port" for each port number
	is   []error // what errors.Is finds
	as   any     // a pointer to the type that errors.As finds, or nil
}

// portNumber matches an address of these tests.
var portNumber = regexp.MustCompile(`(127\.0\.0\.1|\[::1?\]):\d+`)

// run makes the call and compares its error.
func (e errorText) run(t *testing.T) {
	err := e.call(t)
	require.Error(t, err)
	text := portNumber.ReplaceAllString(err.Error(), "$1:port")
	assert.Equal(t, e.text, text)
	assert.LessOrEqual(t, strings.Count(text, "dscp:"), 1, "the package is named once")
	for _, target := range e.is {
		assert.ErrorIs(t, err, target)
	}
	if e.as != nil {
		assert.ErrorAs(t, err, e.as)
	}
}

// errOf returns the error of a call that returns a value too.
func errOf[T any](_ T, err error) error { return err }

// TestErrorTextsOfValues holds the texts for wrong values, which need no socket.
func TestErrorTextsOfValues(t *testing.T) {
	t.Parallel()
	parse := func(s string) func(*testing.T) error {
		return func(*testing.T) error { return errOf(dscp.Parse(s)) }
	}
	parseTOS := func(s string) func(*testing.T) error {
		return func(*testing.T) error { return errOf(dscp.ParseTOS(s)) }
	}
	parseIPQoS := func(s string) func(*testing.T) error {
		return func(*testing.T) error { return errOf(dscp.ParseIPQoS(s)) }
	}
	outOfRange, syntax := []error{dscp.ErrRange}, []error{dscp.ErrSyntax}
	for _, e := range []errorText{
		{name: "Parse of a TOS octet", call: parse("72"), is: outOfRange,
			text: `dscp: code point 72 is out of range 0-63; as a TOS octet it is AF21 (18), see ParseTOS`},
		{name: "Parse of a hexadecimal TOS octet", call: parse("0x49"), is: outOfRange,
			text: `dscp: code point 0x49 is out of range 0-63; as a TOS octet it is AF21 (18), see ParseTOS`},
		{name: "Parse of an octet without a name", call: parse("200"), is: outOfRange,
			text: `dscp: code point 200 is out of range 0-63; as a TOS octet it is 50, see ParseTOS`},
		{name: "Parse of a large number", call: parse("256"), is: outOfRange,
			text: `dscp: code point 256 is out of range 0-63`},
		{name: "Parse of a word", call: parse("best"), is: syntax,
			text: `dscp: invalid code point "best" (want a name such as AF21 or a number from 0 to 63)`},
		{name: "Parse of a leading zero", call: parse("018"), is: syntax,
			text: `dscp: invalid code point "018": leading zero`},

		{name: "ParseTOS with ECN bits", call: parseTOS("0x49"), is: syntax,
			text: `dscp: invalid TOS octet 0x49: ECN bits (the low two) must be zero; AF21 is 72`},
		{name: "ParseTOS of a DSCP", call: parseTOS("18"), is: syntax,
			text: `dscp: invalid TOS octet 18: ECN bits (the low two) must be zero; lowdelay is 16, and the DSCP 18 (AF21) as an octet is 72`},
		{name: "ParseTOS of a large number", call: parseTOS("256"), is: outOfRange,
			text: `dscp: TOS octet 256 is out of range 0-255`},
		{name: "ParseTOS of a word", call: parseTOS("best"), is: syntax,
			text: `dscp: invalid TOS octet "best" (want a name such as AF21 or a number from 0 to 255)`},

		{name: "ParseIPQoS with ECN bits", call: parseIPQoS("0x49"), is: syntax,
			text: `dscp: invalid IPQoS value 0x49: ECN bits (the low two) must be zero; AF21 is 72`},
		{name: "ParseIPQoS of a DSCP", call: parseIPQoS("af21 18"), is: syntax,
			text: `dscp: invalid IPQoS value 18: ECN bits (the low two) must be zero; lowdelay is 16, and the DSCP 18 (AF21) as an octet is 72`},
		{name: "ParseIPQoS of a leading zero", call: parseIPQoS("020"), is: syntax,
			text: `dscp: invalid IPQoS value "020": leading zero; OpenSSH up to 9.7 reads 16, OpenSSH since 9.8 reads 20`},
		{name: "ParseIPQoS of a leading zero that is not octal", call: parseIPQoS("08"), is: syntax,
			text: `dscp: invalid IPQoS value "08": leading zero; OpenSSH up to 9.7 refuses it, OpenSSH since 9.8 reads 8`},
		{name: "ParseIPQoS of a large number", call: parseIPQoS("256"), is: outOfRange,
			text: `dscp: IPQoS value 256 is out of range 0-255`},
		{name: "ParseIPQoS of a word", call: parseIPQoS("best"), is: syntax,
			text: `dscp: invalid IPQoS value "best" (want a word such as af21 or none, or an octet from 0 to 255)`},
		{name: "ParseIPQoS of three words", call: parseIPQoS("af21 cs1 ef"), is: syntax,
			text: `dscp: invalid IPQoS value "af21 cs1 ef": 3 words (want one, or two for interactive and bulk)`},

		{name: "MarshalText of an octet", is: outOfRange,
			call: func(*testing.T) error { return errOf(dscp.IPQoS{Interactive: 72, Bulk: 184}.MarshalText()) },
			text: `dscp: code point 72 is out of range 0-63; as a TOS octet it is AF21 (18), see FromTOS`},
		{name: "Validate of an octet", is: outOfRange,
			call: func(*testing.T) error { return (&dscp.Dialer{DSCP: 72}).Validate() },
			text: `dscp: Dialer.DSCP: code point 72 is out of range 0-63; as a TOS octet it is AF21 (18), see FromTOS`},
		{name: "Validate of a bad Fallback", is: outOfRange,
			call: func(*testing.T) error {
				return (&dscp.Dialer{Fallback: []dscp.CodePoint{dscp.DF, 184}}).Validate()
			},
			text: `dscp: Dialer.Fallback[1]: code point 184 is out of range 0-63; as a TOS octet it is EF (46), see FromTOS`},
		{name: "Validate of a negative FallbackDelay",
			call: func(*testing.T) error { return (&dscp.Dialer{FallbackDelay: -time.Second}).Validate() },
			text: `dscp: Dialer.FallbackDelay is negative: -1s`},
		{name: "Validate of a bad Reflect", is: outOfRange,
			call: func(*testing.T) error { return (&dscp.ListenConfig{Reflect: []dscp.CodePoint{64}}).Validate() },
			text: `dscp: ListenConfig.Reflect[0]: code point 64 is out of range 0-63; as a TOS octet it is CS2 (16), see FromTOS`},
		{name: "Validate of nil",
			call: func(*testing.T) error { return (*dscp.Dialer)(nil).Validate() },
			text: `dscp: nil Dialer`},
	} {
		t.Run(e.name, e.run)
	}
}

// TestErrorTextsOfSentinels holds that a sentinel names the package where a program
// prints it alone.
func TestErrorTextsOfSentinels(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, dscp.ErrRange, "dscp: code point out of range")
	assert.EqualError(t, dscp.ErrSyntax, "dscp: invalid syntax")
	assert.EqualError(t, dscp.ErrMidFlow, "dscp: cannot change the DSCP of a live flow")
}
