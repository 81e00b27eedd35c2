package sshtest

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// patience is how long a local program may take before a test fails.
const patience = 20 * time.Second

// A Terminal is a pseudo-terminal on which a program runs.
type Terminal struct {
	tb     testing.TB
	cmd    *exec.Cmd
	screen *os.File
	ended  chan struct{} // closed when no process uses the terminal any more

	mu     sync.Mutex
	all    string        // all output
	shown  string        // the output after the last text that Expect found
	change chan struct{} // has a value when shown has changed
}

// StartTerminal starts a program on a terminal of 24 lines and 80 columns. The
// program is killed at the end of the test.
func StartTerminal(tb testing.TB, cmd *exec.Cmd) *Terminal {
	tb.Helper()
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	require.NoError(tb, err)
	p := &Terminal{tb: tb, cmd: cmd, screen: screen, ended: make(chan struct{}), change: make(chan struct{}, 1)}
	go p.watch()
	tb.Cleanup(func() {
		cmd.Process.Kill()
		<-p.ended
		if cmd.ProcessState == nil {
			cmd.Wait()
		}
		screen.Close()
	})
	return p
}

// watch collects the output. When the last process on the terminal has ended, Read
// returns an error.
func (p *Terminal) watch() {
	defer close(p.ended)
	buf := make([]byte, 4096)
	for {
		n, err := p.screen.Read(buf)
		p.mu.Lock()
		p.all += string(buf[:n])
		p.shown += string(buf[:n])
		p.mu.Unlock()
		select {
		case p.change <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// Type writes text to the terminal, as if a user typed it.
func (p *Terminal) Type(text string) {
	p.tb.Helper()
	_, err := p.screen.WriteString(text)
	require.NoError(p.tb, err)
}

// Expect waits until the output has text. The next call looks only at the output
// after that text.
func (p *Terminal) Expect(text string) {
	p.tb.Helper()
	deadline := time.After(patience)
	for {
		if p.look(text) {
			return
		}
		select {
		case <-p.change:
		case <-p.ended:
			if !p.look(text) {
				p.tb.Fatalf("the program has ended without %q: %q", text, p.Unread())
			}
			return
		case <-deadline:
			p.tb.Fatalf("no %q after %v: %q", text, patience, p.Unread())
		}
	}
}

func (p *Terminal) look(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, rest, ok := strings.Cut(p.shown, text)
	if ok {
		p.shown = rest
	}
	return ok
}

// Unread returns the output after the last text that Expect found.
func (p *Terminal) Unread() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown
}

// Line waits for the end of the line and returns the line.
func (p *Terminal) Line() string {
	p.tb.Helper()
	p.Expect("\r\n")
	p.mu.Lock()
	defer p.mu.Unlock()
	read := strings.TrimSuffix(strings.TrimSuffix(p.all, p.shown), "\r\n")
	return read[strings.LastIndex(read, "\n")+1:]
}

// Processes returns the descendants of the program.
func (p *Terminal) Processes() []int { return Descendants(p.cmd.Process.Pid) }

// Resize changes the size of the terminal.
func (p *Terminal) Resize(rows, columns uint16) {
	p.tb.Helper()
	require.NoError(p.tb, pty.Setsize(p.screen, &pty.Winsize{Rows: rows, Cols: columns}))
}

// Wait waits for the program and returns its exit status, -1 if a signal ended it.
func (p *Terminal) Wait() int {
	p.tb.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.tb.Fatalf("the program does not end after %v: %q", patience, p.Unread())
	}
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// Ended returns a channel that is closed when the program has ended.
func (p *Terminal) Ended() <-chan struct{} { return p.ended }

// Output returns all output so far.
func (p *Terminal) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}
