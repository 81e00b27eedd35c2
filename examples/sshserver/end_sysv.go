//go:build aix || solaris

package main

// waitForEnd reports that it cannot wait for a process without reaping it.
func waitForEnd(int) bool { return false }
