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

// patience is how long anything local may take before a test gives up on it.
const patience = 20 * time.Second

// A Person sits before a terminal on which a program runs.
type Person struct {
	tb     testing.TB
	cmd    *exec.Cmd
	screen *os.File
	ended  chan struct{} // closed when nobody uses the terminal any more

	mu     sync.Mutex
	all    string        // everything that was on the screen
	shown  string        // what nobody has looked for yet
	change chan struct{} // has a value when shown has changed
}

// SitDown starts a program on a terminal of 24 lines and 80 columns.
func SitDown(tb testing.TB, cmd *exec.Cmd) *Person {
	tb.Helper()
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	require.NoError(tb, err)
	p := &Person{tb: tb, cmd: cmd, screen: screen, ended: make(chan struct{}), change: make(chan struct{}, 1)}
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

// watch keeps what the screen shows. The kernel hangs the terminal up when the
// program has ended, which is an error here.
func (p *Person) watch() {
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

// Types types.
func (p *Person) Types(text string) {
	p.tb.Helper()
	_, err := p.screen.WriteString(text)
	require.NoError(p.tb, err)
}

// Sees waits until the screen shows text, and then looks at what follows it.
func (p *Person) Sees(text string) {
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
				p.tb.Fatalf("the program has ended, %q was not there: %q", text, p.Shown())
			}
			return
		case <-deadline:
			p.tb.Fatalf("waiting for %q: %q", text, p.Shown())
		}
	}
}

func (p *Person) look(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, rest, ok := strings.Cut(p.shown, text)
	if ok {
		p.shown = rest
	}
	return ok
}

// Shown returns what follows what was last seen.
func (p *Person) Shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown
}

// Line waits for the end of a line and returns that line.
func (p *Person) Line() string {
	p.tb.Helper()
	p.Sees("\r\n")
	p.mu.Lock()
	defer p.mu.Unlock()
	read := strings.TrimSuffix(strings.TrimSuffix(p.all, p.shown), "\r\n")
	return read[strings.LastIndex(read, "\n")+1:]
}

// Processes returns those that the program has started.
func (p *Person) Processes() []int { return Descendants(p.cmd.Process.Pid) }

// Resizes gives the terminal another size.
func (p *Person) Resizes(rows, columns uint16) {
	p.tb.Helper()
	require.NoError(p.tb, pty.Setsize(p.screen, &pty.Winsize{Rows: rows, Cols: columns}))
}

// Waits waits for the program and returns its exit status, -1 if a signal ended
// it.
func (p *Person) Waits() int {
	p.tb.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.tb.Fatalf("the program does not end: %q", p.Shown())
	}
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// Ended returns a channel that is closed when the program has ended.
func (p *Person) Ended() <-chan struct{} { return p.ended }

// Everything returns all that was on the screen.
func (p *Person) Everything() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}
