//go:build !unix

package tos

// RewriteControl returns oob: none of these systems can mark.
func RewriteControl(oob []byte, _ func(Option, uint8) (uint8, error)) ([]byte, error) {
	return oob, nil
}

// AppendControl appends nothing: none of these systems can mark.
func AppendControl(b []byte, _ Option, _ uint8) []byte { return b }

// ReceivedOctet returns false: none of these systems reports marks.
func ReceivedOctet([]byte) (octet uint8, ok bool) { return 0, false }

// IgnoresMessage reports false: none of these systems takes the message.
func (o Option) IgnoresMessage() bool { return false }
