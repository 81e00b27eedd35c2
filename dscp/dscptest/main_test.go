package dscptest_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/internal/trial"
)

// TestMain fails the run if a goroutine or a descriptor outlives the tests.
func TestMain(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue {
		// The tests mostly wait: for timeouts, and for the kernel, which takes long to
		// make and close packet sockets.
		p.Value.Set("8")
	}
	goroutines, fds := runtime.NumGoroutine(), openFDs()
	if runtime.GOOS == "js" {
		goroutines++ // the runtime starts one for events and keeps it
	}
	trial.NeedExamples(box, "ExampleStart", "ExampleConfig", "ExampleMiddlebox_Wait")
	trial.NeedExamples(trial.SavedSYN, "ExampleSYN")
	code := m.Run()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(code) // the fuzzer keeps goroutines
	}
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		left := runtime.NumGoroutine() - goroutines
		now := openFDs()
		now.others -= fds.others
		now.pipes -= fds.pipes
		if left <= 0 && now.others <= pollerFDs {
			if now.pipes <= 0 {
				break
			}
			// Package net keeps pipes to splice through until they are collected.
			runtime.GC()
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "%d goroutines, %d pipe ends and %d other descriptors left\n", left, now.pipes, now.others)
			pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			listFDs()
			code = 1
			break
		}
	}
	os.Exit(code)
}

// box returns why this system cannot run a middlebox, or nil.
func box() error {
	b, err := dscptest.Start("[::1]:9", dscptest.VMware)
	if errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if err == nil {
		err = b.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // the examples fail
	}
	return nil
}

// pollerFDs is how many descriptors the runtime opens for its poller with the first
// socket and keeps, and one for a file of the test binary.
const pollerFDs = 3

// An fdCount is how many descriptors this process has.
type fdCount struct{ pipes, others int }

// openFDs counts this process's descriptors; none where they cannot be listed.
func openFDs() (n fdCount) {
	const dir = "/proc/self/fd/"
	if runtime.GOOS == "windows" {
		return n // Wine has that directory, with its own descriptors
	}
	d, err := os.Open(dir)
	if err != nil {
		return n
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if link, _ := os.Readlink(dir + name); strings.HasPrefix(link, "pipe:") {
			n.pipes++
		} else {
			n.others++
		}
	}
	return n
}

// listFDs prints what this process's descriptors are.
func listFDs() {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		link, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		fmt.Fprintln(os.Stderr, fd.Name(), link)
	}
}
