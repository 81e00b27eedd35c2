package dscp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	// ErrRange is found by [errors.Is] under the error for a number above 63,
	// from [Parse] and from every function that takes a [CodePoint], and for an
	// octet above 255 from [ParseIPQoS].
	ErrRange = errors.New("code point out of range")

	// ErrSyntax is found by [errors.Is] under the error for a text that is
	// neither a name nor a number, or a number that stands for no code point.
	ErrSyntax = errors.New("not a code point")
)

// names holds the name that String gives each named code point.
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

// byName maps each name that Parse takes, in upper case, to its code point.
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
// the error asks whether AF21 was meant. It matches [ErrRange]; a text that is
// no code point at all, the empty one and an octal-looking "018" among them,
// gives an error that matches [ErrSyntax].
//
// [ParseTOS] reads numbers as octets, and so does OpenSSH's IPQoS option
// ([ParseIPQoS]); [FromTOS] takes an octet that is a number already. The same
// spelling side by side:
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
		return 0, syntaxError(s)
	case err != nil || n > uint64(maxCodePoint):
		return 0, rangeError(s, n)
	}
	return CodePoint(n), nil
}

// ParseTOS reads a code point that is written as a TOS or Traffic Class octet: a
// number from 0 to 255, decimal ("72") or hexadecimal ("0x48"), with both ECN bits
// clear, or a name as [Parse] takes it. The table there has both side by side. A
// number above 255 gives an error that matches [ErrRange]. An octet with an ECN
// bit set, an octal-looking "072" and any other text give one that matches
// [ErrSyntax].
func ParseTOS(s string) (CodePoint, error) {
	if cp, ok := byName[upper(s)]; ok {
		return cp, nil
	}
	n, err := parseNumber(s)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, fmt.Errorf("dscp: %w: %q (want a name such as AF21 or a TOS octet from 0 to 255)", ErrSyntax, s)
	case err != nil || n > 0xff:
		return 0, fmt.Errorf("dscp: %w: %s is not in 0-255", ErrRange, s)
	case n&ecnMask != 0:
		return 0, fmt.Errorf("dscp: %w: %s", ErrSyntax, ecnBits(s, uint8(n)))
	}
	return FromTOS(uint8(n)), nil
}

// parseNumber reads a decimal number or, after 0x, a hexadecimal one. A zero in
// front of a decimal one would be octal to some programs, so it is no number.
func parseNumber(s string) (uint64, error) {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		return number(s[2:], 16)
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, strconv.ErrSyntax
	}
	return number(s, 10)
}

// number is strconv.ParseUint, which says of some texts that they are too large
// before it has seen that they are no numbers.
func number(digits string, base int) (uint64, error) {
	if strings.Trim(upper(digits), "0123456789ABCDEF"[:base]) != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(digits, base, 64)
}

// upper is strings.ToUpper for ASCII alone: to that, "cſ1" would be CS1.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, s)
}

func syntaxError(s string) error {
	return fmt.Errorf("dscp: %w: %q (want a name such as AF21 or a number from 0 to 63)", ErrSyntax, s)
}

func rangeError(s string, n uint64) error { return fmt.Errorf("dscp: %w", outOfRange(s, n)) }

// outOfRange tells that n, written as s, is too large, and what it would be as
// a TOS octet, since that is the usual mistake.
func outOfRange(s string, n uint64) error {
	if n > 0xff {
		return fmt.Errorf("%w: %s is not in 0-63", ErrRange, s)
	}
	meant := FromTOS(uint8(n))
	return fmt.Errorf("%w: %s is not in 0-63; as a TOS octet it is %v (%d), see FromTOS", ErrRange, s, meant, uint8(meant))
}

// ecnBits tells that an octet has them set, and what was probably meant: the
// class without them or, of a number that is one, the DSCP.
func ecnBits(word string, octet uint8) string {
	without := octet &^ ecnMask
	s := fmt.Sprintf("%s sets ECN bits (the low two must be zero): %v is %d", word, FromTOS(octet), without)
	if cp := CodePoint(octet); cp.Valid() {
		s += fmt.Sprintf("; a number here is an octet, and that of the DSCP %d (%v) is %d", octet, cp, cp.TOS())
	}
	return s
}

// check returns nil for a code point and an error that matches ErrRange for a
// value above 63.
func (c CodePoint) check() error {
	if c.Valid() {
		return nil
	}
	return rangeError(strconv.Itoa(int(c)), uint64(c))
}

// checkField is check for the value of a field, which the error names.
func (c CodePoint) checkField(field string) error {
	if c.Valid() {
		return nil
	}
	return fmt.Errorf("dscp: %s: %w", field, outOfRange(strconv.Itoa(int(c)), uint64(c)))
}

// String returns the registry's name of c, "lowdelay" or "throughput" for 4
// and 2, and the decimal number for a code point without a name. 0 is "DF" and
// 1 is "LE". [Parse] reads all of them back. A value above 63 prints as
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

// MarshalText implements [encoding.TextMarshaler]: the text is String's. It
// fails for a value above 63.
func (c CodePoint) MarshalText() ([]byte, error) {
	return c.AppendText(nil)
}

// AppendText implements [encoding.TextAppender].
func (c CodePoint) AppendText(b []byte) ([]byte, error) {
	if err := c.check(); err != nil {
		return b, err
	}
	return append(b, c.String()...), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler] as [Parse], so that
// flag.TextVar, encoding/json and YAML packages read code points by name. On an
// error c keeps its value.
func (c *CodePoint) UnmarshalText(text []byte) error {
	cp, err := Parse(string(text))
	if err != nil {
		return err
	}
	*c = cp
	return nil
}
