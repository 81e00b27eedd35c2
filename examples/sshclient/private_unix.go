//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate refuses a private key of this user that others can read. Another
// owner may have had reasons.
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
