package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestOutside compares the ranks to published tables for the 95 % interval of a median.
func TestOutside(t *testing.T) {
	for n, lowest := range map[int]int{
		1: 1, 2: 1, 5: 1, // too few for 95 %: all samples
		6: 1, 9: 2, 10: 2, 20: 6, 50: 18, 100: 40,
	} {
		assert.Equal(t, lowest, outside(n)+1, "rank of the lower end, n = %d", n)
	}
}

func TestEstimateOf(t *testing.T) {
	for _, tt := range []struct {
		name    string
		samples []float64
		want    estimate
	}{
		{"one", []float64{7}, estimate{7, 7, 7}},
		{"two", []float64{1, 2}, estimate{1.5, 1, 2}},
		{"three, unsorted", []float64{3, 1, 2}, estimate{2, 1, 3}},
		{"ten, with one far out", []float64{10, 1, 2, 3, 4, 5, 6, 7, 8, 1000}, estimate{5.5, 2, 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := append([]float64(nil), tt.samples...)
			assert.Equal(t, tt.want, estimateOf(tt.samples))
			assert.Equal(t, before, tt.samples, "the rounds keep their order")
		})
	}
	assert.True(t, math.IsNaN(estimateOf(nil).median))
}

// TestEstimateCovers draws samples from a skewed distribution with a known median and counts
// how often the interval contains it.
func TestEstimateCovers(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	const tries, n = 4000, 40
	hits := 0
	for range tries {
		samples := make([]float64, n)
		for i := range samples {
			samples[i] = draw.ExpFloat64()
		}
		if e := estimateOf(samples); e.low <= math.Ln2 && math.Ln2 <= e.high {
			hits++
		}
	}
	assert.InDelta(t, 0.96, float64(hits)/tries, 0.015)
}

// TestRatioIgnoresDrift has a machine that becomes slower, while the second subject takes a
// tenth longer than the first in every round.
func TestRatioIgnoresDrift(t *testing.T) {
	var base, other []float64
	for i := range 50 {
		base = append(base, float64(100+10*i))
		other = append(other, 1.1*float64(100+10*i))
	}
	e := ratio(other, base)
	assert.InDelta(t, 1.1, e.median, 1e-9)
	assert.InDelta(t, 0, e.high-e.low, 1e-9, "the drift is in both subjects, so the ratio does not have it")
	assert.InDelta(t, 0.1*345, difference(other, base).median, 1e-9)
	assert.Equal(t, "1.100 [1.100, 1.100]", e.String())
}
