package dscp

import (
	"container/list"
	"sync"
	"time"
)

// The defaults of a Memory.
const (
	defaultMemoryTTL   = 10 * time.Minute
	defaultMemoryLimit = 1000
)

// A Memory remembers where a [Dialer] had to fall back to another mark, so that
// the next dial to the same address starts with the mark that came up, without
// the wait. Several Dialers may share one. Call [Memory.Clear] when the machine
// has moved to another network: it is the path that loses marks, not the
// destination.
//
// What is remembered is forgotten after TTL, and a dial then starts with DSCP
// again. Dialers with different DSCP remember separately.
//
// The zero value is ready for use. A Memory may be used by several goroutines
// at once, as long as none changes its fields, and must not be copied after the
// first use.
type Memory struct {
	// TTL is how long a destination is remembered. Zero or less means 10
	// minutes.
	TTL time.Duration

	// Limit is how many destinations are remembered at most: a new one replaces
	// the one that was learnt first. Zero or less means 1,000.
	Limit int

	mu    sync.Mutex
	known map[destination]*list.Element // in order
	order list.List                     // of memory, the oldest first
}

// A destination is where a dial goes to, and the mark that it would start with.
type destination struct {
	network, address string // as in Dial
	first            CodePoint
}

// A memory is what a Memory knows of one destination.
type memory struct {
	destination
	works   CodePoint
	expires time.Time
}

// Clear forgets everything.
func (m *Memory) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.known)
	m.order.Init()
}

// recall returns the mark that came up for d.
func (m *Memory) recall(d destination) (works CodePoint, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.known[d]
	if !ok {
		return DF, false
	}
	known := e.Value.(memory)
	if !time.Now().Before(known.expires) {
		m.forget(e)
		return DF, false
	}
	return known.works, true
}

// learn remembers the mark that came up for d. The first mark itself is nothing
// to remember. It takes the same time however much is remembered.
func (m *Memory) learn(d destination, works CodePoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.known[d]; ok {
		m.forget(e)
	}
	if works == d.first {
		return
	}
	if m.known == nil {
		m.known = make(map[destination]*list.Element)
	}
	m.known[d] = m.order.PushBack(memory{d, works, time.Now().Add(m.ttl())})
	for m.order.Len() > m.limit() {
		m.forget(m.order.Front())
	}
}

// forget removes e. m.mu is held.
func (m *Memory) forget(e *list.Element) {
	delete(m.known, m.order.Remove(e).(memory).destination)
}

func (m *Memory) ttl() time.Duration {
	if m.TTL <= 0 {
		return defaultMemoryTTL
	}
	return m.TTL
}

func (m *Memory) limit() int {
	if m.Limit <= 0 {
		return defaultMemoryLimit
	}
	return m.Limit
}
