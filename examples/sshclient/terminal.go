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

// errNobody says that a question could not be asked.
var errNobody = errors.New("there is no terminal to ask on")

// canAsk reports whether a question could be asked.
func canAsk() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	return term.IsTerminal(int(tty.Fd()))
}

// ask puts a question to the person at the terminal. A secret answer is not
// shown. However it ends, the terminal is as it was before: ask alone changes
// it, never the goroutine that may stay behind and read.
func ask(ctx context.Context, question string, secret bool) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNobody
	}
	defer tty.Close()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", errNobody
	}
	if secret {
		defer fmt.Fprintln(tty) // the person's newline was not shown
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

// readLine reads up to the end of the line, and no further: what follows is the
// session's.
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
