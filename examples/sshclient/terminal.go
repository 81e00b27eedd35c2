package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// A terminal tells whether the session has a terminal on the server and here.
// Questions to the user do not depend on it: they go to the controlling terminal.
type terminal struct {
	wanted bool     // request one on the server: the session is interactive
	local  *os.File // standard input, if it is a terminal and wanted
}

// openTerminal decides before the client connects whether the session is interactive.
// request is RequestTTY.
func openTerminal(o options, request string, stdin io.Reader) terminal {
	f, ok := stdin.(*os.File)
	isTerminal := ok && term.IsTerminal(int(f.Fd()))
	t := terminal{}
	switch {
	case o.subsystem:
	case o.terminal, request == "force":
		t.wanted = true
	case request == "yes":
		t.wanted = isTerminal
	case request != "no":
		t.wanted = isTerminal && len(o.command) == 0
	}
	if t.wanted && isTerminal {
		t.local = f
	}
	return t
}

// errNoTerminal is the reason why the user cannot be asked.
var errNoTerminal = errors.New("no terminal to ask on")

// canAsk reports whether there is a terminal to ask on.
func canAsk() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	return term.IsTerminal(int(tty.Fd()))
}

// ask asks the user a question on the controlling terminal. The terminal does not show
// a secret answer. ask always restores the terminal. If ctx ends, a goroutine may
// remain that reads from the terminal, but it does not change its state.
func ask(ctx context.Context, question string, secret bool) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNoTerminal
	}
	defer tty.Close()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", errNoTerminal
	}
	if secret {
		defer fmt.Fprintln(tty) // the user's newline was not shown
		defer term.Restore(fd, before)
		if err := hideInput(fd); err != nil {
			return "", err
		}
	}
	fmt.Fprint(tty, question)
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		a.text, a.err = readLine(tty)
		answers <- a
	}()
	select {
	case a := <-answers:
		if !secret {
			a.text = strings.TrimSpace(a.text)
		}
		return a.text, a.err
	case <-ctx.Done():
		if !secret {
			fmt.Fprintln(tty)
		}
		return "", ctx.Err()
	}
}

// readLine reads one line, byte by byte: later input is for the session.
func readLine(r io.Reader) (string, error) {
	var line strings.Builder
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		if n > 0 && b[0] == '\n' || err == io.EOF && line.Len() > 0 {
			return line.String(), nil
		}
		line.Write(b[:n])
		if err != nil {
			return "", err
		}
	}
}
