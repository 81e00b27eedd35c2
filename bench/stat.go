package main

import (
	"fmt"
	"math"
	"slices"
)

// An estimate is a median with its confidence interval of at least 95 %.
type estimate struct{ median, low, high float64 }

// String returns the estimate with three decimals.
func (e estimate) String() string {
	return fmt.Sprintf("%.3f [%.3f, %.3f]", e.median, e.low, e.high)
}

// estimateOf assumes no distribution of the samples. The interval runs between two of the
// sorted samples. The number of samples below the true median has a binomial distribution
// with probability 1/2, which gives their ranks. With fewer than six samples, for which no
// interval reaches 95 %, it runs from the lowest to the highest.
func estimateOf(samples []float64) estimate {
	if len(samples) == 0 {
		nan := math.NaN()
		return estimate{nan, nan, nan}
	}
	x := slices.Sorted(slices.Values(samples))
	n := len(x)
	k := outside(n)
	return estimate{median: (x[(n-1)/2] + x[n/2]) / 2, low: x[k], high: x[n-1-k]}
}

// outside returns how many of n sorted samples the interval excludes at each end: the
// largest number for which the true median lies beyond that end with a probability of at
// most 2.5 %.
func outside(n int) int {
	const tail = 0.025
	k := 0
	for p := binomial(n, 0) + binomial(n, 1); p <= tail; p += binomial(n, k+1) {
		k++
	}
	return k
}

// binomial returns the probability of k heads in n coin tosses.
func binomial(n, k int) float64 {
	lg := func(i int) float64 { v, _ := math.Lgamma(float64(i) + 1); return v }
	return math.Exp(lg(n) - lg(k) - lg(n-k) - float64(n)*math.Ln2)
}

// ratio estimates the ratio of two subjects round by round, because other load in a round
// slows both.
func ratio(of, to []float64) estimate {
	r := make([]float64, len(of))
	for i := range of {
		r[i] = of[i] / to[i]
	}
	return estimateOf(r)
}

// difference estimates the difference of two subjects round by round.
func difference(of, to []float64) estimate {
	d := make([]float64, len(of))
	for i := range of {
		d[i] = of[i] - to[i]
	}
	return estimateOf(d)
}
