package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// resources are what the process holds.
type resources struct {
	goroutines, descriptors int
	sockets                 int    // among the descriptors
	heap                    uint64 // reachable, after a collection
	rss                     uint64 // with the race detector's shadow memory
}

// count reads what can be counted without a garbage collection.
func count() resources {
	r := resources{goroutines: runtime.NumGoroutine()}
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return r
	}
	r.descriptors = len(entries) - 1 // its own
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			r.sockets++
		}
	}
	return r
}

func measure() resources {
	r := count()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.heap = m.HeapAlloc
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident uint64
		if _, err := fmt.Sscan(string(b), &size, &resident); err == nil {
			r.rss = resident * uint64(os.Getpagesize())
		}
	}
	return r
}

func (r resources) String() string {
	return fmt.Sprintf("goroutines %d, descriptors %d (sockets %d), heap %.1f MiB, resident %.1f MiB",
		r.goroutines, r.descriptors, r.sockets, mib(r.heap), mib(r.rss))
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

// settled measures with look after everything is closed. Goroutines and descriptors
// may need a moment to end, so it measures until none has ended for a second.
func settled(look func() resources) resources {
	const calm = time.Second
	r, since := look(), time.Now()
	for time.Since(since) < calm {
		time.Sleep(calm / 20)
		next := look()
		if next.goroutines < r.goroutines || next.descriptors < r.descriptors {
			since = time.Now()
		}
		r = next
	}
	return r
}
