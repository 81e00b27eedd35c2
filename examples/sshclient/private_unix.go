//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate returns an error if this user owns the private key and others can read
// it. Like OpenSSH, it accepts any mode of another user's file.
func checkPrivate(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("permissions %#o: %w", info.Mode().Perm(), errTooOpen)
	}
	return nil
}
