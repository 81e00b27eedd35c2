//go:build !unix

package sshconfig

// checkOwner has nothing to go by on this system.
func checkOwner(string) error { return nil }
