//go:build unix

package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// readAuthorizedKeys reads the file if nobody but its owner, who is this user or
// root, could have written it or put another in its place: what OpenSSH's
// StrictModes asks of the file and of the directories above it, up to the home
// directory. A directory such as /tmp will do, where only its owner can move a
// file.
func readAuthorizedKeys(file string) ([]byte, error) {
	// In this order: Abs believes $PWD, which may lead through links.
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would wait for who writes
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", file)
	}
	if err := checkMode(file, info); err != nil {
		return nil, err
	}
	if err := checkDirectories(filepath.Dir(file)); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// checkDirectories looks at dir, an absolute path without links, and at those above
// it.
func checkDirectories(dir string) error {
	home, _ := os.UserHomeDir()
	home, _ = filepath.EvalSymlinks(home) // without one there is none to stop at
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if err := checkMode(dir, info); err != nil {
			return err
		}
		if dir == home || dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// checkMode finds out whether others could write to a file, or move what is in a
// directory.
func checkMode(name string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o022 != 0 && !(info.IsDir() && info.Mode()&fs.ModeSticky != 0) {
		return fmt.Errorf("%s: others than its owner may write to it", name)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user", name)
	}
	return nil
}
