//go:build !unix

package dscp

// These systems do not mark, so no dial falls back and no socket is asked for its mark.

func filtered(error) bool    { return false }
func refused(error) bool     { return false }
func resetByPeer(error) bool { return false }
