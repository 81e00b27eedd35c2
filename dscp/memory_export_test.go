package dscp

import "time"

// Learn makes m remember that works connected where first did not.
func (m *Memory) Learn(network, address string, first, works CodePoint) {
	m.learn(destination{network, address, first}, works)
}

// Remembered returns the mark that m remembers for a dial and when it expires.
func (m *Memory) Remembered(network, address string, first CodePoint) (works CodePoint, expires time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.known[destination{network, address, first}]
	if !ok {
		return DF, time.Time{}, false
	}
	known := e.Value.(memory)
	return known.works, known.expires, true
}

// Len returns how many destinations m remembers.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order.Len()
}
