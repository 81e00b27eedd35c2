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

// A terminal says what there is to sit before. ssh asks its questions on the
// controlling terminal, whatever its standard input is.
type terminal struct {
	wanted bool     // the server shall give us one: the session is interactive
	local  *os.File // standard input, if it is a terminal and wanted
}

// openTerminal decides what the session will be, before there is a connection.
func openTerminal(o options, stdin io.Reader) terminal {
	f, ok := stdin.(*os.File)
	isTerminal := ok && term.IsTerminal(int(f.Fd()))
	t := terminal{wanted: !o.subsystem && (o.terminal || isTerminal && len(o.command) == 0)}
	if t.wanted && isTerminal {
		t.local = f
	}
	return t
}

// errNobody says that a question could not be asked.
var errNobody = errors.New("there is no terminal to ask on")

// ask puts a question to the person at the terminal. A secret answer is not
// shown. However it ends, the terminal is as it was before.
func ask(ctx context.Context, question string, secret bool) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNobody
	}
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		tty.Close()
		return "", errNobody
	}
	fmt.Fprint(tty, question)
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		defer tty.Close()
		var a answer
		if secret {
			var text []byte
			text, a.err = term.ReadPassword(fd)
			a.text = string(text)
			fmt.Fprintln(tty)
		} else {
			a.text, a.err = readLine(tty)
		}
		answers <- a
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-ctx.Done():
		term.Restore(fd, before)
		fmt.Fprintln(tty)
		return "", ctx.Err()
	}
}

// readLine reads up to the end of the line, and no further: what follows is the
// session's.
func readLine(r io.Reader) (string, error) {
	var line strings.Builder
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		if n > 0 && b[0] == '\n' {
			return strings.TrimSpace(line.String()), nil
		}
		line.Write(b[:n])
		if err != nil {
			return "", err
		}
	}
}
