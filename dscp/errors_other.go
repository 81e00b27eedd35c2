//go:build !unix

package dscp

// None is of use here: where nothing is marked, no dial falls back, and no socket is
// asked for its mark.

func filtered(error) bool    { return false }
func refused(error) bool     { return false }
func resetByPeer(error) bool { return false }
