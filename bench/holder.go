package main

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/godscp/godscp/dscp"
)

// A Holder holds many open connections: the dialled or the accepted ends.
type Holder struct {
	one    func() (net.Conn, error) // dials or accepts
	listen net.Listener
	mu     sync.Mutex
	conns  []net.Conn
	before uint64 // bytes on the heap
}

// A Hold configures a Holder.
type Hold struct {
	Address string
	Conns   int
	Pinned  bool
}

// Held has the counts of a Holder.
type Held struct {
	Conns, Intact int // Intact counts pinned conns at AF21 whose Verify succeeds
	Heap          uint64
	Goroutines    int
}

// Listen makes the Holder accept connections and returns its address.
func (h *Holder) Listen(want Hold, at *string) error {
	listen := plainConfig().Listen
	if want.Pinned {
		listen = (&dscp.ListenConfig{DSCP: dscp.AF21}).Listen
	}
	var err error
	if h.listen, err = listen(context.Background(), "tcp", want.Address); err != nil {
		return err
	}
	*at = h.listen.Addr().String()
	h.prepare(want.Conns, h.listen.Accept)
	return nil
}

// Call makes the Holder dial.
func (h *Holder) Call(want Hold, _ *None) error {
	dial := new(net.Dialer).DialContext
	if want.Pinned {
		dial = (&dscp.Dialer{DSCP: dscp.AF21}).DialContext
	}
	h.prepare(want.Conns, func() (net.Conn, error) { return dial(context.Background(), "tcp", want.Address) })
	return nil
}

func (h *Holder) prepare(conns int, one func() (net.Conn, error)) {
	h.one = one
	h.conns = make([]net.Conn, 0, conns)
	h.before = heap()
}

// Open opens n more connections, concurrently if the Holder dials. The other end must open
// as many at the same time.
func (h *Holder) Open(n int, _ *None) error {
	if h.listen == nil {
		return h.open(parallel, n)
	}
	if err := giveUpAfter(h.listen, patience); err != nil {
		return err
	}
	return h.open(1, n)
}

func (h *Holder) open(goroutines, n int) error {
	var begun atomic.Int64
	return parallelly(goroutines, func() error {
		for begun.Add(1) <= int64(n) {
			c, err := h.one()
			if err != nil {
				return err
			}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
		}
		return nil
	})
}

// Look returns the counts.
func (h *Holder) Look(_ None, held *Held) error {
	*held = Held{Conns: len(h.conns), Heap: heap() - h.before, Goroutines: runtime.NumGoroutine()}
	for _, c := range h.conns {
		if c, ok := c.(*dscp.Conn); ok && c.Verify() == nil && c.DSCP() == dscp.AF21 {
			held.Intact++
		}
	}
	return nil
}

// Drop resets all connections.
func (h *Holder) Drop(None, *None) error {
	var errs []error
	for _, c := range h.conns {
		errs = append(errs, reset(c))
	}
	if h.listen != nil {
		errs = append(errs, h.listen.Close())
	}
	return errors.Join(errs...)
}

// heap returns the bytes on the heap after a garbage collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // frees objects that the first finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
