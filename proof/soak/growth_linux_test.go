package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLeaked(t *testing.T) {
	before := resources{goroutines: 5, descriptors: 9, heap: 4 << 20}
	for name, tt := range map[string]struct {
		after resources
		want  string
	}{
		"the same":     {before, ""},
		"less":         {resources{goroutines: 4, descriptors: 9, heap: 4 << 20}, ""},
		"a goroutine":  {resources{goroutines: 6, descriptors: 9, heap: 4 << 20}, "goroutines leaked"},
		"a descriptor": {resources{goroutines: 5, descriptors: 10, heap: 4 << 20}, "descriptors leaked"},
		"a socket":     {resources{goroutines: 5, descriptors: 9, sockets: 1, heap: 4 << 20}, "sockets leaked"},
		"memory":       {resources{goroutines: 5, descriptors: 9, heap: 7 << 20}, "heap leaked"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == "" {
				assert.NoError(t, leaked(before, tt.after))
				return
			}
			assert.ErrorContains(t, leaked(before, tt.after), tt.want)
		})
	}
}

func TestGrown(t *testing.T) {
	// Of thirty samples, each with a little more than the one before.
	rising := func(goroutines, descriptors, heap int) (samples []resources) {
		for i := range 30 {
			samples = append(samples, resources{
				goroutines:  100 + i*goroutines,
				descriptors: 100 + i*descriptors,
				heap:        uint64(10<<20 + i*heap),
			})
		}
		return samples
	}
	assert.NoError(t, grown(io.Discard, rising(0, 0, 0)))
	assert.NoError(t, grown(io.Discard, rising(1, -1, 100<<10)))
	assert.ErrorContains(t, grown(io.Discard, rising(5, 0, 0)), "goroutines")
	assert.ErrorContains(t, grown(io.Discard, rising(0, 5, 0)), "descriptors")
	assert.ErrorContains(t, grown(io.Discard, rising(0, 0, 1<<20)), "heap")
	assert.NoError(t, grown(io.Discard, rising(9, 9, 9<<20)[:fewest-1]), "too few to measure")
}
