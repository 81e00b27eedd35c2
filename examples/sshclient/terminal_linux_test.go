package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

// asker is an environment variable that makes a test run its child's part.
const asker = "SSHCLIENT_ASKER"

// TestAskRestores claims that ask restores the terminal if its context ends at any
// time: before, while or after it hides the input.
func TestAskRestores(t *testing.T) {
	if os.Getenv(asker) != "" {
		askAndCompare(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAskRestores$", "-test.count=1")
	cmd.Env = append(os.Environ(), asker+"=1")
	p := sshtest.StartTerminal(t, cmd)
	assert.Zero(t, p.Wait(), "%s", p.Output())
	assert.Contains(t, p.Output(), "PASS")
}

func askAndCompare(t *testing.T) {
	state := func() unix.Termios {
		state, err := unix.IoctlGetTermios(0, unix.TCGETS)
		require.NoError(t, err)
		return *state
	}
	before := state()
	changed := 0
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		if i%2 == 0 {
			cancel()
		} else {
			time.AfterFunc(time.Duration(i)*10*time.Microsecond, cancel)
		}
		_, err := ask(ctx, "secret? ", true)
		assert.ErrorIs(t, err, context.Canceled)
		if state() != before {
			changed++
		}
	}
	assert.Zero(t, changed, "state of the terminal when ask has returned")
	// The goroutines that remain must not change it later: watch it for a while.
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		require.Equal(t, before, state(), "state of the terminal later")
	}
}

// TestAskKeepsTheSecret claims that ask does not show a secret, keeps the blanks around
// it, and accepts one without a newline.
func TestAskKeepsTheSecret(t *testing.T) {
	if os.Getenv(asker) != "" {
		for range 2 {
			secret, err := ask(t.Context(), "secret? ", true)
			fmt.Printf("length %d, %v\n", len(secret), err)
		}
		answer, err := ask(t.Context(), "answer? ", false)
		fmt.Printf("answer %q, %v\n", answer, err)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAskKeepsTheSecret$", "-test.count=1")
	cmd.Env = append(os.Environ(), asker+"=1")
	p := sshtest.StartTerminal(t, cmd)
	p.Expect("secret? ")
	p.Type(" open sesame \n")
	p.Expect("length 13, <nil>\r\n")
	p.Expect("secret? ")
	p.Type("sesame\x04\x04")
	p.Expect("length 6, <nil>\r\n")
	p.Expect("answer? ")
	p.Type(" yes \n")
	p.Expect("answer \"yes\", <nil>\r\n")
	assert.Zero(t, p.Wait())
	assert.NotContains(t, p.Output(), "sesame")
}
