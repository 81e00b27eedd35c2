package dscp

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// The defaults of a Memory.
const (
	defaultMemoryTTL   = 10 * time.Minute
	defaultMemoryLimit = 1000
)

// A Memory remembers where a [Dialer] had to fall back to another mark, so that
// the next dial to the same place starts with the one that came up, without the
// wait. It belongs to whoever makes it: give it to as many Dialers as it should
// serve, by their Memory field, and [Memory.Clear] it when the machine has moved
// to another network, since paths lose marks, not destinations.
//
// What is remembered is forgotten after TTL, and a dial then starts with the
// first mark again. A Dialer with another first mark has memories of its own.
//
// The zero value is ready for use. A Memory may be used by several goroutines
// at once, as long as none changes its fields, and must not be copied after the
// first use. It is kept across runs as JSON, by [Memory.MarshalJSON] and
// [Memory.UnmarshalJSON].
type Memory struct {
	// TTL is how long a destination is remembered. Zero or less means 10
	// minutes.
	TTL time.Duration

	// Limit is how many destinations are remembered at most; the one that has
	// the least time left gives way to a new one. Zero or less means 1,000.
	Limit int

	mu    sync.Mutex
	known map[destination]MemoryEntry
}

// A MemoryEntry is what a [Memory] knows of one destination.
type MemoryEntry struct {
	Network string    `json:"network"` // as in Dial
	Address string    `json:"address"` // as in Dial
	DSCP    CodePoint `json:"dscp"`    // the first mark of the ladder, which did not come up
	Works   CodePoint `json:"works"`   // the one that did
	Expires time.Time `json:"expires"`
}

// A destination is what an entry is about.
type destination struct {
	network, address string
	first            CodePoint
}

func (e MemoryEntry) destination() destination { return destination{e.Network, e.Address, e.DSCP} }

// Entries returns what is remembered now, sorted by address.
func (m *Memory) Entries() []MemoryEntry {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	entries := make([]MemoryEntry, 0, len(m.known))
	for _, e := range m.known {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b MemoryEntry) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Network, b.Network), cmp.Compare(a.DSCP, b.DSCP))
	})
	return entries
}

// Clear forgets everything.
func (m *Memory) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.known)
}

// MarshalJSON returns the entries as a JSON array, code points by name.
func (m *Memory) MarshalJSON() ([]byte, error) { return json.Marshal(m.Entries()) }

// UnmarshalJSON replaces what is remembered by what MarshalJSON has returned. It
// leaves out what has expired meanwhile, and holds the rest to TTL and Limit. On
// an error, such as a code point that does not exist, nothing changes.
func (m *Memory) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as encoding/json wants it
	}
	var entries []MemoryEntry
	if err := json.Unmarshal(data, &entries); err != nil {
		return fmt.Errorf("dscp: reading a Memory: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = make(map[destination]MemoryEntry)
	latest := time.Now().Add(m.ttl())
	for _, e := range entries {
		if e.Expires.After(latest) {
			e.Expires = latest
		}
		m.known[e.destination()] = e
	}
	m.makeRoom() // once: the text may be far longer than Limit
	return nil
}

// recall returns the mark that came up for d.
func (m *Memory) recall(d destination) (works CodePoint, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.known[d]
	return e.Works, ok && time.Now().Before(e.Expires)
}

// learn remembers the mark that came up for d. That it is the first of the
// ladder is nothing to remember.
func (m *Memory) learn(d destination, works CodePoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if works == d.first {
		delete(m.known, d)
		return
	}
	m.put(MemoryEntry{d.network, d.address, d.first, works, time.Now().Add(m.ttl())})
}

// put adds e and makes room for it. m.mu is held.
func (m *Memory) put(e MemoryEntry) {
	if m.known == nil {
		m.known = make(map[destination]MemoryEntry)
	}
	m.known[e.destination()] = e
	m.makeRoom()
}

// makeRoom forgets what is past its time, and of the rest what has the least
// time left, down to Limit. m.mu is held.
func (m *Memory) makeRoom() {
	m.expire()
	limit := m.Limit
	if limit <= 0 {
		limit = defaultMemoryLimit
	}
	if len(m.known) <= limit {
		return
	}
	byTime := slices.SortedFunc(maps.Values(m.known), func(a, b MemoryEntry) int { return a.Expires.Compare(b.Expires) })
	for _, e := range byTime[:len(byTime)-limit] {
		delete(m.known, e.destination())
	}
}

// expire forgets what is past its time. m.mu is held.
func (m *Memory) expire() {
	now := time.Now()
	for d, e := range m.known {
		if !now.Before(e.Expires) {
			delete(m.known, d)
		}
	}
}

func (m *Memory) ttl() time.Duration {
	if m.TTL <= 0 {
		return defaultMemoryTTL
	}
	return m.TTL
}
