//go:build unix

package main

import (
	"os"
	"os/user"
	"path/filepath"
)

// An account is the user of the server process, as whom all sessions run.
type account struct {
	name, home, shell string
}

func currentAccount() account {
	a := account{name: "unknown", home: os.Getenv("HOME"), shell: os.Getenv("SHELL")}
	if u, err := user.Current(); err == nil {
		a.name = u.Username
		if a.home == "" {
			a.home = u.HomeDir
		}
	}
	if info, err := os.Stat(a.home); err != nil || !info.IsDir() {
		a.home = "/"
	}
	if a.shell == "" {
		a.shell = "/bin/sh"
	}
	return a
}

// environment returns the environment of a new session.
func (a account) environment() []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	return []string{"USER=" + a.name, "LOGNAME=" + a.name, "HOME=" + a.home, "SHELL=" + a.shell, "PATH=" + path}
}

// command returns the shell's arguments for a command line, or for a login shell if
// line is empty.
func (a account) command(line string) []string {
	if line == "" {
		return []string{"-" + filepath.Base(a.shell)}
	}
	return []string{a.shell, "-c", line}
}
