package dscptest_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
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

// pollerFDs is how many descriptors the runtime opens for its poller with the first
// socket and keeps, and one for a file of the test binary.
const pollerFDs = 3

// An fdCount is how many descriptors this process has.
type fdCount struct{ pipes, others int }

// openFDs counts this process's descriptors; none where they cannot be listed.
func openFDs() (n fdCount) {
	const dir = "/proc/self/fd/"
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
