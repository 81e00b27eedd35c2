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

// A Memory remembers for which addresses a [Dialer] had to fall back to another mark.
// The next dial to such an address starts with the mark that connected, without
// waiting for the others. Several Dialers may share a Memory. Call [Memory.Clear] when
// the host has moved to another network, since the path loses the marks and not the
// destination.
//
// An entry expires after TTL; the next dial then starts with DSCP again. Dialers with
// different DSCP have separate entries.
//
// The zero value is ready to use. Several goroutines may use a Memory at once, as long
// as none changes its fields. A Memory must not be copied after first use.
type Memory struct {
	// TTL is how long an entry is kept. Zero or less means 10 minutes.
	TTL time.Duration

	// Limit is the largest number of entries. A new entry replaces the oldest one.
	// Zero or less means 1,000.
	Limit int

	mu    sync.Mutex
	known map[destination]*list.Element // in order
	order list.List                     // of memory, the oldest first
}

// A destination is the address of a dial and the first mark of its Dialer.
type destination struct {
	network, address string // as in Dial
	first            CodePoint
}

// A memory is an entry of a Memory.
type memory struct {
	destination
	works   CodePoint
	expires time.Time
}

// Clear removes all entries.
func (m *Memory) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.known)
	m.order.Init()
}

// recall returns the mark that connected to d.
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

// learn makes an entry for the mark that connected to d, in constant time. If that is
// the first mark of d, learn only removes the old entry.
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
