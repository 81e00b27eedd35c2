package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// waitForEnd waits until a child process has ended, without reaping it, and reports
// whether that worked.
func waitForEnd(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
