//go:build unix

package sshconfig

import (
	"fmt"
	"os"
	"syscall"
)

// checkOwner returns an error if other users may write the file, as OpenSSH does.
func checkOwner(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: bad owner or permissions: other users may write it", file)
	}
	return nil
}
