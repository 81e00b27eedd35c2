package dscp

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func place(n int) destination { return destination{"tcp", fmt.Sprintf("host%d:22", n), AF21} }

func TestMemoryForgets(t *testing.T) {
	for name, tt := range map[string]struct{ ttl, want time.Duration }{
		"by default": {0, 10 * time.Minute},
		"negative":   {-time.Second, 10 * time.Minute},
		"after TTL":  {time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := Memory{TTL: tt.ttl}
				_, ok := m.recall(place(1))
				assert.False(t, ok)
				m.learn(place(1), DF)
				time.Sleep(tt.want - 1)
				works, ok := m.recall(place(1))
				assert.True(t, ok)
				assert.Equal(t, DF, works)
				time.Sleep(time.Nanosecond)
				_, ok = m.recall(place(1))
				assert.False(t, ok)
				assert.Zero(t, m.Len())
			})
		})
	}
}

// TestMemoryLearnsAgain checks that a mark which connected by Fallback, and not from
// Memory, renews the entry.
func TestMemoryLearnsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Memory{TTL: time.Hour}
		m.learn(place(1), DF)
		time.Sleep(time.Hour - 1)
		m.learn(place(1), LowDelay)
		assert.Equal(t, 1, m.Len())
		time.Sleep(time.Hour - 1)
		works, ok := m.recall(place(1))
		assert.True(t, ok)
		assert.Equal(t, LowDelay, works)
	})
}

func TestMemoryLimit(t *testing.T) {
	t.Run("the oldest is removed", func(t *testing.T) {
		m := Memory{Limit: 3}
		for n := range 10 {
			m.learn(place(n), DF)
		}
		m.learn(place(8), LowDelay) // known already: none is removed
		kept := func() (kept []int) {
			for n := range 20 {
				if _, ok := m.recall(place(n)); ok {
					kept = append(kept, n)
				}
			}
			return kept
		}
		assert.Equal(t, []int{7, 8, 9}, kept())
		m.learn(place(10), DF)
		m.learn(place(11), DF)
		assert.Equal(t, []int{8, 10, 11}, kept(), "8 was learnt after 9")
	})
	t.Run("1,000 by default", func(t *testing.T) {
		for _, limit := range []int{0, -1} {
			m := Memory{Limit: limit}
			for n := range 1100 {
				m.learn(place(n), DF)
			}
			assert.Equal(t, 1000, m.Len())
			assert.Len(t, m.known, 1000)
		}
	})
	t.Run("lowered later", func(t *testing.T) {
		m := Memory{Limit: 10}
		for n := range 10 {
			m.learn(place(n), DF)
		}
		m.Limit = 2
		m.learn(place(10), DF)
		assert.Equal(t, 2, m.Len())
	})
}

// TestMemoryLearnTakesConstantTime compares learning at a Limit of 1,000 with learning at
// a Limit of 10. Other work on the machine slows both down, so the test alternates them
// and compares the medians.
func TestMemoryLearnTakesConstantTime(t *testing.T) {
	const batch, batches = 100, 201
	places := make([]destination, 2*batch*batches)
	for n := range places {
		places[n] = place(n)
	}
	full := func(limit int) *Memory {
		m := &Memory{Limit: limit}
		for n := range limit {
			m.learn(destination{"tcp", fmt.Sprintf("first%d:22", n), AF21}, DF)
		}
		require.Equal(t, limit, m.Len())
		return m
	}
	small, large := full(10), full(1000)
	var tookSmall, tookLarge []time.Duration
	measure := func(m *Memory, i int) time.Duration {
		begin := time.Now()
		for _, d := range places[i*batch : (i+1)*batch] {
			m.learn(d, DF)
		}
		return time.Since(begin)
	}
	for i := range batches {
		tookSmall = append(tookSmall, measure(small, i))
		tookLarge = append(tookLarge, measure(large, i))
	}
	slices.Sort(tookSmall)
	slices.Sort(tookLarge)
	if tookSmall[batches/2] == 0 {
		t.Skip("the clock is too coarse to tell")
	}
	ratio := float64(tookLarge[batches/2]) / float64(tookSmall[batches/2])
	t.Logf("learn at 1,000: %v, at 10: %v, ratio %.2f", tookLarge[batches/2]/batch, tookSmall[batches/2]/batch, ratio)
	assert.LessOrEqual(t, ratio, 3.0)
	assert.Equal(t, 10, small.Len())
	assert.Equal(t, 1000, large.Len())
}

func BenchmarkMemoryLearn(b *testing.B) {
	for _, limit := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			m := Memory{Limit: limit}
			places := make([]destination, 2*limit)
			for n := range places {
				places[n] = place(n)
				m.learn(places[n], DF)
			}
			for i := 0; b.Loop(); i++ {
				m.learn(places[i%len(places)], DF)
			}
		})
	}
}

func TestMemoryForgetsIfTheFirstMarkConnects(t *testing.T) {
	var m Memory
	m.learn(place(1), DF)
	m.learn(place(1), AF21)
	assert.Zero(t, m.Len())
	assert.Empty(t, m.known)
}

func TestMemoryIsPerDestination(t *testing.T) {
	var m Memory
	m.learn(destination{"tcp", "host:22", AF21}, DF)
	for _, other := range []destination{{"tcp4", "host:22", AF21}, {"tcp", "host:23", AF21}, {"tcp", "host:22", EF}} {
		_, ok := m.recall(other)
		assert.False(t, ok, "%v", other)
	}
	m.Clear()
	_, ok := m.recall(destination{"tcp", "host:22", AF21})
	assert.False(t, ok)
	assert.Zero(t, m.Len())
	m.learn(place(1), DF)
	assert.Equal(t, 1, m.Len(), "usable after Clear")
}

// TestMemoryOfAnotherFallback checks that a remembered mark which is not in Fallback is
// not used.
func TestMemoryOfAnotherFallback(t *testing.T) {
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	var m Memory
	m.learn(destination{"tcp", l.Addr().String(), AF21}, LowDelay)
	client, _ := pair(t, &Dialer{DSCP: AF21, Fallback: []CodePoint{DF}, Memory: &m}, l)
	assert.Equal(t, AF21, client.DSCP())
}

func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	m := Memory{Limit: 5}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 200 {
				m.learn(place(i%10), DF)
				m.recall(place(n))
				if i%50 == 0 {
					m.Clear()
				}
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, m.Len(), 5)
	assert.Len(t, m.known, m.Len())
}
