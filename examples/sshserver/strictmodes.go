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

// readAuthorizedKeys reads the file if only this user and root can have written or
// replaced it. It checks, as OpenSSH's StrictModes does, the file and the directories
// above it, up to the home directory. It accepts sticky directories such as /tmp,
// where only the owner can move a file.
func readAuthorizedKeys(file string) ([]byte, error) {
	// In this order: Abs uses $PWD, which may contain symbolic links.
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a FIFO would block
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	if err := checkMode(file, info); err != nil {
		return nil, err
	}
	if err := checkDirectories(filepath.Dir(file)); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// checkDirectories checks dir, an absolute path without links, and its parents, up to
// the home directory.
func checkDirectories(dir string) error {
	home, _ := os.UserHomeDir()
	home, _ = filepath.EvalSymlinks(home) // without a home directory, check up to the root
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

// checkMode returns an error if other users could write to a file, or replace files in
// a directory.
func checkMode(name string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o022 != 0 && !(info.IsDir() && info.Mode()&fs.ModeSticky != 0) {
		return fmt.Errorf("%s: users other than its owner may write to it", name)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user", name)
	}
	return nil
}
