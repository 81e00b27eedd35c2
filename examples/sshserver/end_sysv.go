//go:build aix || solaris

package main

// waitForEnd returns false: it cannot wait for a process without reaping it here.
func waitForEnd(int) bool { return false }
