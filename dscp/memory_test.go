package dscp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
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
				assert.Len(t, m.Entries(), 1)
				time.Sleep(time.Nanosecond)
				_, ok = m.recall(place(1))
				assert.False(t, ok)
				assert.Empty(t, m.Entries())
			})
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Memory{Limit: 3}
		for n := range 10 {
			m.learn(place(n), DF)
			time.Sleep(time.Second)
		}
		m.learn(place(8), LowDelay) // known already: nobody has to go
		var kept []string
		for _, e := range m.Entries() {
			kept = append(kept, e.Address)
		}
		assert.Equal(t, []string{"host7:22", "host8:22", "host9:22"}, kept)
	})
	var m Memory
	for n := range 1100 {
		m.learn(place(n), DF)
	}
	assert.Len(t, m.Entries(), 1000)
}

func TestMemoryLearnsTheFirstMarkByForgetting(t *testing.T) {
	var m Memory
	m.learn(place(1), DF)
	m.learn(place(1), AF21)
	assert.Empty(t, m.Entries())
}

func TestMemoryTellsDestinationsApart(t *testing.T) {
	var m Memory
	m.learn(destination{"tcp", "host:22", AF21}, DF)
	for _, other := range []destination{{"tcp4", "host:22", AF21}, {"tcp", "host:23", AF21}, {"tcp", "host:22", EF}} {
		_, ok := m.recall(other)
		assert.False(t, ok, "%v", other)
	}
	m.Clear()
	assert.Empty(t, m.Entries())
}

// A mark that came up once and is in no rung now must not be dialled with.
func TestMemoryOfAnotherLadder(t *testing.T) {
	requireHost(t)
	l := listenOn(t, &ListenConfig{}, "127.0.0.1:0")
	var m Memory
	m.learn(destination{"tcp", l.Addr().String(), AF21}, LowDelay)
	client, _ := pair(t, &Dialer{DSCP: AF21, Fallback: []CodePoint{DF}, Memory: &m}, l)
	assert.Equal(t, AF21, client.DSCP())
}

func TestMemoryJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		m.learn(destination{"tcp", "b.example:22", EF}, LowDelay)
		m.learn(destination{"tcp6", "a.example:443", AF21}, DF)
		text, err := json.Marshal(&m)
		require.NoError(t, err)
		assert.JSONEq(t, `[
			{"network": "tcp6", "address": "a.example:443", "dscp": "AF21", "works": "DF", "expires": "2000-01-01T00:10:00Z"},
			{"network": "tcp", "address": "b.example:22", "dscp": "EF", "works": "lowdelay", "expires": "2000-01-01T00:10:00Z"}
		]`, string(text))

		time.Sleep(time.Minute)
		var back Memory
		back.learn(place(1), DF)
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, len(m.Entries()), len(back.Entries()), "it replaces what was there")
		for i, e := range m.Entries() {
			assert.Equal(t, e.destination(), back.Entries()[i].destination())
			assert.True(t, e.Expires.Equal(back.Entries()[i].Expires))
		}
		works, ok := back.recall(destination{"tcp", "b.example:22", EF})
		assert.True(t, ok)
		assert.Equal(t, LowDelay, works)

		short := Memory{TTL: time.Minute, Limit: 1}
		require.NoError(t, json.Unmarshal(text, &short))
		require.Len(t, short.Entries(), 1, "held to Limit")
		assert.True(t, short.Entries()[0].Expires.Equal(time.Now().Add(time.Minute)), "held to TTL")

		time.Sleep(time.Hour)
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Empty(t, back.Entries(), "expired meanwhile")
	})

	var m Memory
	text, err := json.Marshal(&m)
	require.NoError(t, err)
	assert.Equal(t, "[]", string(text), "an empty one is an empty list")

	m.learn(place(1), DF)
	for _, bad := range []string{`{}`, `[{"dscp": "AF99"}]`, `[{"dscp": 18}]`, `[{"works": "0x48"}]`, `[`} {
		require.Error(t, json.Unmarshal([]byte(bad), &m), bad)
	}
	require.NoError(t, json.Unmarshal([]byte("null"), &m))
	assert.Len(t, m.Entries(), 1, "what cannot be read changes nothing")
}

func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	m := Memory{Limit: 5}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 200 {
				m.learn(place(i%10), DF)
				m.recall(place(n))
				text, err := json.Marshal(&m)
				assert.NoError(t, err)
				assert.NoError(t, json.Unmarshal(text, &m))
				if i%50 == 0 {
					m.Clear()
				}
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, len(m.Entries()), 5)
}

// TestMemoryReadsMuch takes a file that is far larger than what is kept of it, as
// one could be that somebody else has written.
func TestMemoryReadsMuch(t *testing.T) {
	var b strings.Builder
	const many = 20_000
	for i := range many {
		fmt.Fprintf(&b, `,{"network":"tcp","address":"a%d","dscp":"EF","expires":"2000-01-01T00:00:00Z"}`, i)
	}
	for i := range many {
		fmt.Fprintf(&b, `,{"network":"tcp","address":"h%d","dscp":"EF","expires":%q}`, i, time.Now().Add(time.Minute+time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano))
	}
	var m Memory
	require.NoError(t, m.UnmarshalJSON([]byte("["+b.String()[1:]+"]")))
	entries := m.Entries()
	assert.Len(t, entries, 1000)
	for _, e := range entries {
		assert.Regexp(t, "^h19[0-9]{3}$", e.Address, "those with the most time left stay")
	}
}

// FuzzMemoryJSON holds UnmarshalJSON to a second reading of the same text.
func FuzzMemoryJSON(f *testing.F) {
	for _, s := range []string{
		`[{"network":"tcp","address":"a:22","dscp":"AF21","works":"DF","expires":"2100-01-01T00:00:00Z"}]`,
		`[{"address":"a","expires":"2100-01-01T00:00:00Z"},{"address":"a","works":"EF","expires":"2000-01-01T00:00:00Z"}]`,
		`[{"address":"a","expires":"2100-01-01T00:00:00Z"},{"address":"b","expires":"2101-01-01T00:00:00Z"},{"address":"c","expires":"2100-01-01T00:00:00Z"}]`,
		`[{"address":"a","expires":"2100-01-01T00:00:00Z"},{"address":"b","expires":"2100-01-01T00:00:00Z"},{"address":"a"}]`,
		`[{"dscp":64}]`, `[{"dscp":"64"}]`, `[{"works":null}]`, `{}`, `null`, `[]`, `[null]`, `[{}] x`,
	} {
		f.Add([]byte(s), 2)
	}
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		limit = 1 + limit&3
		m := Memory{Limit: limit, TTL: time.Hour}
		m.learn(place(1), DF)
		before := m.Entries()
		var again []MemoryEntry
		wantErr := json.Unmarshal(data, &again)
		begin := time.Now()
		err := json.Unmarshal(data, &m)
		require.Equal(t, wantErr == nil, err == nil, "%v, and %v", wantErr, err)
		if err != nil || string(bytes.TrimSpace(data)) == "null" {
			require.Equal(t, before, m.Entries())
			return
		}
		// Of each destination the last entry counts.
		last := map[destination]MemoryEntry{}
		for _, e := range again {
			if delete(last, e.destination()); e.Expires.After(begin) {
				last[e.destination()] = e
			}
		}
		entries := m.Entries()
		require.Len(t, entries, min(len(last), limit))
		for _, e := range entries {
			want := last[e.destination()]
			require.Equal(t, want.Works, e.Works)
			require.True(t, e.DSCP.Valid() && e.Works.Valid())
			require.False(t, e.Expires.After(want.Expires) || time.Until(e.Expires) > time.Hour)
			works, ok := m.recall(e.destination())
			require.True(t, ok)
			require.Equal(t, e.Works, works)
			delete(last, e.destination())
		}
		for _, lost := range last { // had the least time left
			for _, e := range entries {
				require.False(t, min(time.Until(lost.Expires), time.Hour-time.Minute) > time.Until(e.Expires), "%v went, %v stayed", lost, e)
			}
		}
		text, err := json.Marshal(&m)
		require.NoError(t, err)
		back := Memory{Limit: limit, TTL: time.Hour}
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, len(entries), len(back.Entries()))
	})
}
