//go:build !unix

package dscp

// None is of use here: where nothing is marked, Fallback has no effect, and no
// socket is asked for its mark.

func filtered(error) bool { return false }
func refused(error) bool  { return false }
func gone(error) bool     { return false }
