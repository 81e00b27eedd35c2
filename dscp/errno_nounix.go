//go:build !unix

package dscp

// None is of use here: where nothing is marked, there is no ladder, and no socket
// to ask for its mark.

func filtered(error) bool { return false }
func refused(error) bool  { return false }
func gone(error) bool     { return false }
