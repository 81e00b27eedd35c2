// Package openssh finds out which marks an installed OpenSSH sets on its
// connections. It runs the program to print them and never looks at the version:
// distributions change the marks and patch older versions with newer behaviour.
package openssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/godscp/godscp/dscp"
)

// A Mark is one of the two words of IPQoS. None means that OpenSSH leaves the mark
// of its socket as it is; the word cs0 means that it sets 0.
type Mark struct {
	DSCP dscp.CodePoint
	None bool
}

// Set returns the mark of a socket after OpenSSH has set m; cp is the mark before.
func (m Mark) Set(cp dscp.CodePoint) dscp.CodePoint {
	if m.None {
		return cp
	}
	return m.DSCP
}

// Marks are the two words: for sessions with a terminal, and for the rest.
type Marks struct{ Interactive, Bulk Mark }

// Parse reads the value of IPQoS as "ssh -G" and "sshd -T" print it.
func Parse(value string) (Marks, error) {
	words := strings.Fields(value)
	if len(words) == 0 || len(words) > 2 {
		return Marks{}, fmt.Errorf("IPQoS %q: want one word or two", value)
	}
	var marks [2]Mark
	for i, word := range words {
		if strings.EqualFold(word, "none") {
			marks[i].None = true
			continue
		}
		q, err := dscp.ParseIPQoS(word)
		if err != nil {
			return Marks{}, err
		}
		marks[i].DSCP = q.Interactive
	}
	if len(words) == 1 {
		marks[1] = marks[0]
	}
	return Marks{marks[0], marks[1]}, nil
}

// Value returns the value of IPQoS in a printed configuration, and whether it is
// there. It ignores the case of the name: sshd -T prints IPQoS since 10.6 and ipqos
// before.
func Value(printed []byte) (string, bool) {
	for line := range bytes.Lines(printed) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if strings.EqualFold(name, "ipqos") {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

var errNoIPQoS = errors.New("no IPQoS in its output")

// Ask runs a command that prints a configuration, such as ssh -G host or sshd -T,
// and returns the value of IPQoS that results from the configuration file, the
// options and the program's default. The program prints "none" for a word that it
// ignores.
func Ask(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	printed, err := cmd.Output()
	if err == nil {
		value, ok := Value(printed)
		if ok {
			return value, nil
		}
		err = errNoIPQoS
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		err = fmt.Errorf("%s (%w)", bytes.TrimSpace(exit.Stderr), err)
	}
	return "", fmt.Errorf("asking %s for its IPQoS: %w", program, err)
}

// patience is how long a program may take to print its configuration. It may wait
// for a slow name server.
const patience = 5 * time.Second
