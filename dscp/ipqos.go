package dscp

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An IPQoS is a pair of marks, as OpenSSH's option of that name has it: one for
// interactive sessions, those with a terminal, and one for bulk, everything
// else. The zero value leaves both unmarked.
//
// OpenSSH changes from one to the other on a live connection. With this
// package, choose one before you dial, and make a second connection if you need
// both: Dialer{DSCP: q.Interactive} and Dialer{DSCP: q.Bulk}.
type IPQoS struct {
	Interactive CodePoint
	Bulk        CodePoint
}

// The marks that OpenSSH takes if it is not told otherwise, from the version in the
// name on, as its project releases it. Distributions change them, and put newer ones
// into older versions: Debian has OpenSSH77 up to 9.2 (bookworm), EF and CS1 in its
// 10.0 (trixie), and OpenSSH101 in what is newer; openSUSE and the illumos
// distributions have patched theirs back to OpenSSH77. So the version does not tell.
// Ask the program: "ssh -G host" and "sshd -T" print the marks that it takes.
var (
	OpenSSH77  = IPQoS{Interactive: LowDelay, Bulk: Throughput} // up to 7.7
	OpenSSH78  = IPQoS{Interactive: AF21, Bulk: CS1}            // 7.8 to 10.0
	OpenSSH101 = IPQoS{Interactive: EF, Bulk: DF}               // since 10.1
)

// ipqosKeywords are the words that ParseIPQoS takes, in lower case, with their
// octets. OpenSSH has them in misc.c and defines.h.
var ipqosKeywords = map[string]uint8{
	"none": 0, // "leave it", which the zero CodePoint says
	"cs0":  0x00, "cs1": 0x20, "cs2": 0x40, "cs3": 0x60, "cs4": 0x80, "cs5": 0xa0, "cs6": 0xc0, "cs7": 0xe0,
	"af11": 0x28, "af12": 0x30, "af13": 0x38,
	"af21": 0x48, "af22": 0x50, "af23": 0x58,
	"af31": 0x68, "af32": 0x70, "af33": 0x78,
	"af41": 0x88, "af42": 0x90, "af43": 0x98,
	"ef": 0xb8,
	"le": 0x04, // since 8.2
	"va": 0xb0, // since 10.3

	"lowdelay": 0x10, "throughput": 0x08, "reliability": 0x04, // without effect since 10.1

	"nqb": 0xb4, // not OpenSSH's
}

// ParseIPQoS reads the value of OpenSSH's IPQoS option: one or two words,
// separated by white space. The first is for interactive sessions, the second
// for bulk; one word is for both. A word, in any case, is
//
//   - a class: cs0 to cs7, af11 to af43, ef, le, va, and also nqb, which
//     OpenSSH does not know;
//   - none, which leaves the socket as it is and becomes [DF], as cs0 does;
//   - lowdelay, throughput or reliability, which keep the octets that they had
//     before OpenSSH 10.1: 0x10, 0x08 and 0x04. OpenSSH since 10.1, and Debian's
//     10.0, still reads these words and takes them for none;
//   - an octet from 0 to 255, decimal or, with 0x, hexadecimal. It is the TOS
//     octet and not a DSCP: AF21 is 72. OpenSSH since 9.8 reads only decimal.
//
// Three kinds of number are errors. Above 255, the error matches [ErrRange]. A
// leading zero has two meanings (020 is 16 to OpenSSH up to 9.7 and 20 since
// 9.8), and octets that set the two ECN bits are not ours to send; these errors
// and those for other texts match [ErrSyntax].
func ParseIPQoS(s string) (IPQoS, error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) })
	if len(words) < 1 || len(words) > 2 {
		return IPQoS{}, invalid(ErrSyntax, "invalid IPQoS value %q: %d words (want one, or two for interactive and bulk)", s, len(words))
	}
	var cps [2]CodePoint
	for i, word := range words {
		cp, err := parseIPQoSWord(word)
		if err != nil {
			return IPQoS{}, err
		}
		cps[i] = cp
	}
	if len(words) == 1 {
		cps[1] = cps[0]
	}
	return IPQoS{Interactive: cps[0], Bulk: cps[1]}, nil
}

func parseIPQoSWord(word string) (CodePoint, error) {
	if octet, ok := ipqosKeywords[strings.ToLower(word)]; ok {
		return FromTOS(octet), nil
	}
	digits, base := word, 10
	if len(word) > 2 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X') {
		digits, base = word[2:], 16
	}
	n, err := number(digits, base)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, invalid(ErrSyntax, "invalid IPQoS value %q (want a word such as af21 or none, or an octet from 0 to 255)", word)
	case base == 10 && len(digits) > 1 && digits[0] == '0':
		return 0, invalid(ErrSyntax, "invalid IPQoS value %q: leading zero; %s", word, readings(digits))
	case err != nil || n > 0xff:
		return 0, invalid(ErrRange, "IPQoS value %s is out of range 0-255", word)
	case n&ecnMask != 0:
		return 0, invalid(ErrSyntax, "invalid IPQoS value %s: %s", word, ecnBits(uint8(n)))
	}
	return FromTOS(uint8(n)), nil
}

// readings says how the versions of OpenSSH read a number with a leading zero: up to
// 9.7 with strtol, as octal, and since 9.8 with strtonum, as decimal.
func readings(digits string) string {
	old := "refuses it"
	if n, err := strconv.ParseUint(digits, 8, 64); err == nil {
		old = "reads " + strconv.FormatUint(n, 10)
	}
	return fmt.Sprintf("OpenSSH up to 9.7 %s, OpenSSH since 9.8 reads %s", old, decimal(digits))
}

// decimal returns digits without leading zeros.
func decimal(digits string) string {
	if d := strings.TrimLeft(digits, "0"); d != "" {
		return d
	}
	return "0"
}

// String returns q in words that every OpenSSH reads, first the interactive one
// and then the one for bulk, as "ssh -G" prints them: "af21 cs1". A class that
// some versions do not know, or ignore, is a decimal octet: [LE] is 4, [LowDelay]
// is 16. [DF] is cs0, since OpenSSH before 7.6 has no "none"; mind that to
// OpenSSH cs0 means to set 0, where a zero CodePoint here sets nothing.
func (q IPQoS) String() string {
	return ipqosWord(q.Interactive) + " " + ipqosWord(q.Bulk)
}

// ipqosWord returns the word for a code point that OpenSSH has understood since
// it had the option, which is 5.7.
func ipqosWord(cp CodePoint) string {
	switch {
	case !cp.Valid():
		return cp.String()
	case cp == DF:
		return "cs0"
	case cp == LE, cp == VoiceAdmit, cp == NQB, cp == LowDelay, cp == Throughput, names[cp] == "":
		return strconv.Itoa(int(cp.TOS()))
	}
	return strings.ToLower(names[cp])
}

// MarshalText implements [encoding.TextMarshaler]: the text is String's. It
// fails for a code point above 63.
func (q IPQoS) MarshalText() ([]byte, error) {
	return q.AppendText(nil)
}

// AppendText implements [encoding.TextAppender].
func (q IPQoS) AppendText(b []byte) ([]byte, error) {
	if err := cmp.Or(q.Interactive.check(), q.Bulk.check()); err != nil {
		return b, err
	}
	return append(b, q.String()...), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler] as [ParseIPQoS], so that
// flag.TextVar and configuration packages read the option as OpenSSH does. On an
// error q keeps its value.
func (q *IPQoS) UnmarshalText(text []byte) error {
	parsed, err := ParseIPQoS(string(text))
	if err != nil {
		return err
	}
	*q = parsed
	return nil
}
