package dscp

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An IPQoS is a pair of marks, like the value of OpenSSH's option of that name: one
// for interactive sessions and one for bulk. The zero value leaves both unmarked.
//
// OpenSSH changes from one mark to the other on a live connection. With this
// package, choose a mark before you dial, and make a second connection if you need
// both: Dialer{DSCP: q.Interactive} and Dialer{DSCP: q.Bulk}.
type IPQoS struct {
	Interactive CodePoint // for sessions with a terminal
	Bulk        CodePoint // for all others
}

// OpenSSH's default IPQoS values, by the releases of the OpenSSH project. Distributions change them: Debian has OpenSSH77 up to
// its 9.2 (bookworm), EF and CS1 in its 10.0 (trixie), and OpenSSH101 in newer
// versions; openSUSE and the illumos distributions have patched theirs back to
// OpenSSH77. So the version alone does not tell the marks. "ssh -G host" and
// "sshd -T" print them.
var (
	OpenSSH77  = IPQoS{Interactive: LowDelay, Bulk: Throughput} // up to 7.7
	OpenSSH78  = IPQoS{Interactive: AF21, Bulk: CS1}            // 7.8 to 10.0
	OpenSSH101 = IPQoS{Interactive: EF, Bulk: DF}               // since 10.1
)

// ipqosKeywords has the words that ParseIPQoS accepts, in lower case, with their
// octets (OpenSSH's misc.c and defines.h).
var ipqosKeywords = map[string]uint8{
	"none": 0, // leave the socket as it is, like the zero CodePoint
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
// for bulk; a single word is for both. A word, in upper or lower case, is
//
//   - a class: cs0 to cs7, af11 to af43, ef, le, va, and also nqb, which
//     OpenSSH does not know;
//   - none, which leaves the socket as it is and becomes [DF], as cs0 does;
//   - lowdelay, throughput or reliability, with the octets that they had before
//     OpenSSH 10.1: 0x10, 0x08 and 0x04. OpenSSH since 10.1, and Debian's 10.0,
//     accepts these words but treats them as none;
//   - a TOS octet from 0 to 255, decimal or, with 0x, hexadecimal. It is not a
//     DSCP: AF21 is 72. OpenSSH since 9.8 reads only decimal.
//
// For a number above 255 the error matches [ErrRange]; for any other text it matches
// [ErrSyntax]. A number with a leading zero is an error, since OpenSSH up to 9.7 reads
// 020 as 16 and OpenSSH since 9.8 reads it as 20. An octet that sets ECN bits is an
// error, since these are not part of a mark.
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

// String returns q in words that every version of OpenSSH reads, the interactive
// mark first, as "ssh -G" prints them: "af21 cs1". A class that some versions do not
// know, or ignore, is a decimal octet: [LE] is 4, [LowDelay] is 16. [DF] is cs0,
// since OpenSSH before 7.6 has no "none". The two differ: with cs0 OpenSSH sets the
// octet to 0, while the zero CodePoint leaves the socket as it is.
func (q IPQoS) String() string {
	return ipqosWord(q.Interactive) + " " + ipqosWord(q.Bulk)
}

// ipqosWord returns a word for cp that every version of OpenSSH reads. The option
// exists since 5.7.
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

// MarshalText implements [encoding.TextMarshaler] with the text of String. If a code
// point is above 63, it returns an error that matches [ErrRange].
func (q IPQoS) MarshalText() ([]byte, error) {
	return q.AppendText(nil)
}

// AppendText implements [encoding.TextAppender]; see [IPQoS.MarshalText].
func (q IPQoS) AppendText(b []byte) ([]byte, error) {
	if err := cmp.Or(q.Interactive.check(), q.Bulk.check()); err != nil {
		return b, err
	}
	return append(b, q.String()...), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]: it reads what [ParseIPQoS]
// reads, so flag.TextVar and configuration packages accept the values of OpenSSH's
// option. On an error q keeps its value.
func (q *IPQoS) UnmarshalText(text []byte) error {
	parsed, err := ParseIPQoS(string(text))
	if err != nil {
		return err
	}
	*q = parsed
	return nil
}
