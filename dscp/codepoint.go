package dscp

// A CodePoint is a Differentiated Services code point (DSCP): the upper six
// bits of the IPv4 TOS octet and of the IPv6 Traffic Class octet, 0 to 63
// (RFC 2474, section 3). The lower two bits of that octet are the ECN field
// (RFC 3168) and not part of a CodePoint.
//
// The zero value is [DF]. In [Dialer] and [ListenConfig] it means "leave the
// socket as it is": it does not clear a mark that other code has set.
//
// A CodePoint is not a TOS octet, but an untyped constant can become either in Go:
// Dialer{DSCP: 0x20} asks for CS4 (32), not for CS1, whose octet is 0x20. Use
// the named constants, or [FromTOS] for an octet. Values above 63 are refused before
// a socket is made; the error names the code point that the value would be as an
// octet.
type CodePoint uint8

// The code points of the IANA registry "Differentiated Services Field
// Codepoints", with the RFCs that define them.
const (
	DF  CodePoint = 0  // Default Forwarding, best effort (RFC 2474, section 4.1)
	CS0 CodePoint = 0  // another name of DF
	CS1 CodePoint = 8  // Class Selectors (RFC 2474, section 4.2.2); CS1 was low priority (RFC 4594) until LE
	CS2 CodePoint = 16 // operations and management (RFC 4594)
	CS3 CodePoint = 24 // broadcast video (RFC 4594)
	CS4 CodePoint = 32 // real-time interactive (RFC 4594)
	CS5 CodePoint = 40 // signaling (RFC 4594)
	CS6 CodePoint = 48 // network control (RFC 4594)
	CS7 CodePoint = 56 // reserved for network use (RFC 4594)

	AF11 CodePoint = 10 // Assured Forwarding (RFC 2597, section 6): AFcd has class c and drop precedence d
	AF12 CodePoint = 12
	AF13 CodePoint = 14
	AF21 CodePoint = 18 // low-latency data (RFC 4594); OpenSSH 7.8 to 10.0 uses it for interactive sessions
	AF22 CodePoint = 20
	AF23 CodePoint = 22
	AF31 CodePoint = 26
	AF32 CodePoint = 28
	AF33 CodePoint = 30
	AF41 CodePoint = 34
	AF42 CodePoint = 36
	AF43 CodePoint = 38

	EF         CodePoint = 46 // Expedited Forwarding (RFC 3246)
	VoiceAdmit CodePoint = 44 // VOICE-ADMIT, capacity-admitted traffic (RFC 5865)
	LE         CodePoint = 1  // Lower Effort (RFC 8622)
	NQB        CodePoint = 45 // Non-Queue-Building (RFC 9956)
)

// The values of the TOS octet that RFC 1349 defined, as code points. They are not
// in the registry. Their IP precedence is zero, so boxes that check precedence let
// them pass (see [CodePoint.NATSafe]). OpenSSH up to 7.7 marked sessions with the
// first two.
const (
	LowDelay    CodePoint = 4 // octet 0x10, "minimize delay"
	Throughput  CodePoint = 2 // octet 0x08, "maximize throughput"
	Reliability CodePoint = 1 // octet 0x04, "maximize reliability"; LE has the same value
)

// maxCodePoint is the largest value that six bits hold.
const maxCodePoint CodePoint = 63

// ecnMask covers the bits of a TOS or Traffic Class octet that belong to ECN.
const ecnMask = 0x03

// FromTOS returns the code point in the upper six bits of a TOS or Traffic
// Class octet. The two ECN bits are dropped: FromTOS(0x48) and FromTOS(0x4a)
// are both AF21, but FromTOS(18) is LowDelay. The table at [Parse] compares the
// functions.
func FromTOS(octet uint8) CodePoint {
	return CodePoint(octet >> 2)
}

// TOS returns the TOS or Traffic Class octet that carries c, with both ECN
// bits zero: AF21.TOS() is 0x48. If c is above 63, only its lower six bits count.
func (c CodePoint) TOS() uint8 {
	return uint8(c) << 2
}

// Precedence returns the upper three bits of c, 0 to 7. RFC 791 called them IP
// precedence; RFC 2474 made them the class selectors. A TCP stack that still
// follows RFC 793 resets a connection on which they change (RFC 2873).
func (c CodePoint) Precedence() uint8 {
	return uint8(c) >> 3 & 7
}

// Valid reports whether c is from 0 to 63. [Dialer.Validate] and
// [ListenConfig.Validate] check all fields that hold code points.
func (c CodePoint) Valid() bool {
	return c <= maxCodePoint
}
