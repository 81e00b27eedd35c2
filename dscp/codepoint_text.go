package dscp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	// ErrRange is matched, with [errors.Is], by the error for a number that is too
	// large: above 63 in [Parse] and in every function that takes a [CodePoint],
	// above 255 in [ParseTOS] and [ParseIPQoS].
	ErrRange = errors.New("dscp: code point out of range")

	// ErrSyntax is matched, with [errors.Is], by the error of [Parse], [ParseTOS]
	// and [ParseIPQoS] for a text that is neither a name nor a number, for a number
	// with a leading zero, and for an octet that sets ECN bits.
	ErrSyntax = errors.New("dscp: invalid syntax")
)

// A valueError is an ErrRange or an ErrSyntax whose text names the value.
type valueError struct {
	kind error
	text string
}

func (e *valueError) Error() string { return "dscp: " + e.text }
func (e *valueError) Unwrap() error { return e.kind }

func invalid(kind error, format string, args ...any) error {
	return &valueError{kind, fmt.Sprintf(format, args...)}
}

// names has the name that String returns for each named code point.
var names = [maxCodePoint + 1]string{
	DF:  "DF",
	CS1: "CS1", CS2: "CS2", CS3: "CS3", CS4: "CS4", CS5: "CS5", CS6: "CS6", CS7: "CS7",
	AF11: "AF11", AF12: "AF12", AF13: "AF13",
	AF21: "AF21", AF22: "AF22", AF23: "AF23",
	AF31: "AF31", AF32: "AF32", AF33: "AF33",
	AF41: "AF41", AF42: "AF42", AF43: "AF43",
	EF: "EF", VoiceAdmit: "VOICE-ADMIT", LE: "LE", NQB: "NQB",
	LowDelay: "lowdelay", Throughput: "throughput",
}

// byName maps each name that Parse accepts, in upper case, to its code point.
var byName = func() map[string]CodePoint {
	m := map[string]CodePoint{
		"CS0":         CS0,
		"VA":          VoiceAdmit, // OpenSSH's keyword
		"VOICEADMIT":  VoiceAdmit,
		"RELIABILITY": Reliability,
	}
	for cp, name := range names {
		if name != "" {
			m[strings.ToUpper(name)] = CodePoint(cp)
		}
	}
	return m
}()

// Parse reads a code point: a name in any case ("AF21", "ef", "VOICE-ADMIT" or
// "va", "lowdelay"), or a number from 0 to 63, decimal ("18") or hexadecimal
// ("0x12"). A number is a DSCP and never a TOS octet: Parse("0x48") fails, and
// the error suggests AF21, which has that octet. For a number above 63 the error matches
// [ErrRange]. For any other text it matches [ErrSyntax], also for an empty text and
// for a number with a leading zero, which some programs would read as octal.
//
// [ParseTOS] reads numbers as octets, and so does [ParseIPQoS], like OpenSSH's IPQoS
// option. [FromTOS] takes an octet as a number. The results compared:
//
//	             Parse     ParseTOS   FromTOS
//	18, 0x12     AF21      ErrSyntax  lowdelay (the octet 0x12 has an ECN bit set)
//	72, 0x48     ErrRange  AF21       AF21
//	16, 0x10     CS2       lowdelay   lowdelay
//	"af21"       AF21      AF21
//	"lowdelay"   lowdelay  lowdelay
func Parse(s string) (CodePoint, error) {
	if cp, ok := byName[upper(s)]; ok {
		return cp, nil
	}
	n, err := parseNumber(s)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, syntaxError("code point", s, 63)
	case err != nil || n > uint64(maxCodePoint):
		return 0, invalid(ErrRange, "%s", outOfRange(s, n, "ParseTOS"))
	}
	return CodePoint(n), nil
}

// ParseTOS reads a code point that is written as a TOS or Traffic Class octet: a
// number from 0 to 255, decimal ("72") or hexadecimal ("0x48"), with both ECN bits
// zero, or a name that [Parse] accepts. For a number above 255 the error matches
// [ErrRange]. For an octet that sets an ECN bit, a number with a leading zero and any
// other text it matches [ErrSyntax].
func ParseTOS(s string) (CodePoint, error) {
	if cp, ok := byName[upper(s)]; ok {
		return cp, nil
	}
	n, err := parseNumber(s)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, syntaxError("TOS octet", s, 255)
	case err != nil || n > 0xff:
		return 0, invalid(ErrRange, "TOS octet %s is out of range 0-255", s)
	case n&ecnMask != 0:
		return 0, invalid(ErrSyntax, "invalid TOS octet %s: %s", s, ecnBits(uint8(n)))
	}
	return FromTOS(uint8(n)), nil
}

// parseNumber reads a decimal number or, after 0x, a hexadecimal one. A decimal
// number with a leading zero is an error, since some programs read it as octal.
func parseNumber(s string) (uint64, error) {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		return number(s[2:], 16)
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, strconv.ErrSyntax
	}
	return number(s, 10)
}

// number is strconv.ParseUint with the errors in another order: ParseUint may report
// that a text is too large before it has seen that the text is not a number.
func number(digits string, base int) (uint64, error) {
	if strings.Trim(upper(digits), "0123456789ABCDEF"[:base]) != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(digits, base, 64)
}

// upper is strings.ToUpper for ASCII alone: strings.ToUpper makes CS1 of "cſ1".
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, s)
}

// syntaxError is the error for a text that is neither a name nor a number.
func syntaxError(want, s string, limit int) error {
	if len(s) > 1 && s[0] == '0' && strings.Trim(s, "0123456789") == "" {
		return invalid(ErrSyntax, "invalid %s %q: leading zero", want, s)
	}
	return invalid(ErrSyntax, "invalid %s %q (want a name such as AF21 or a number from 0 to %d)", want, s, limit)
}

// outOfRange describes n, written as s, which is above 63. That is usually a TOS octet,
// so it names the code point of that octet, and the function that takes octets.
func outOfRange(s string, n uint64, function string) string {
	text := "code point " + s + " is out of range 0-63"
	if n > 0xff {
		return text
	}
	cp := FromTOS(uint8(n))
	name := cp.String()
	if names[cp] != "" {
		name += " (" + strconv.Itoa(int(cp)) + ")"
	}
	return text + "; as a TOS octet it is " + name + ", see " + function
}

// ecnBits describes an octet that sets ECN bits, and names what was probably meant:
// the code point without them or, where the octet could be a DSCP, the octet of that.
func ecnBits(octet uint8) string {
	s := fmt.Sprintf("ECN bits (the low two) must be zero; %v is %d", FromTOS(octet), octet&^ecnMask)
	if cp := CodePoint(octet); cp.Valid() {
		s += fmt.Sprintf(", and the DSCP %d (%v) as an octet is %d", octet, cp, cp.TOS())
	}
	return s
}

// check returns an error that matches ErrRange for a value above 63.
func (c CodePoint) check() error { return c.checkField("") }

// checkField is check for the value of a field, which the error names.
func (c CodePoint) checkField(field string) error {
	if c.Valid() {
		return nil
	}
	if field != "" {
		field += ": "
	}
	return invalid(ErrRange, "%s%s", field, outOfRange(strconv.Itoa(int(c)), uint64(c), "FromTOS"))
}

// String returns the registry's name of c, "lowdelay" for 4, "throughput" for 2, and
// the decimal number for a code point without a name. 0 is "DF" and 1 is "LE".
// [Parse] reads all of these back. For a value above 63 String returns, for example,
// "CodePoint(72)".
func (c CodePoint) String() string {
	switch {
	case !c.Valid():
		return "CodePoint(" + strconv.Itoa(int(c)) + ")"
	case names[c] != "":
		return names[c]
	}
	return strconv.Itoa(int(c))
}

// MarshalText implements [encoding.TextMarshaler] with the text of String. For a
// value above 63 it returns an error that matches [ErrRange].
func (c CodePoint) MarshalText() ([]byte, error) {
	return c.AppendText(nil)
}

// AppendText implements [encoding.TextAppender]; see [CodePoint.MarshalText].
func (c CodePoint) AppendText(b []byte) ([]byte, error) {
	if err := c.check(); err != nil {
		return b, err
	}
	return append(b, c.String()...), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]: it reads what [Parse] reads,
// so flag.TextVar, encoding/json and YAML packages accept names and numbers; in JSON a
// number has to be in quotes. On an error c keeps its value.
func (c *CodePoint) UnmarshalText(text []byte) error {
	cp, err := Parse(string(text))
	if err != nil {
		return err
	}
	*c = cp
	return nil
}
