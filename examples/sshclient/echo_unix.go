//go:build unix

package main

import "golang.org/x/sys/unix"

// hideInput switches the echo of a terminal off and leaves it in line mode, as
// term.ReadPassword does.
func hideInput(fd int) error {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	state.Lflag &^= unix.ECHO
	state.Lflag |= unix.ICANON | unix.ISIG
	state.Iflag |= unix.ICRNL
	return unix.IoctlSetTermios(fd, setTermios, state)
}
