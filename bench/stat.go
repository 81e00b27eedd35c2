package main

import (
	"fmt"
	"math"
	"slices"
)

// An estimate is a median and the interval that has the true one in it with at
// least 95 % probability.
type estimate struct{ median, low, high float64 }

// String has three decimals: ratios are told apart by percents.
func (e estimate) String() string {
	return fmt.Sprintf("%.3f [%.3f, %.3f]", e.median, e.low, e.high)
}

// estimateOf supposes nothing of how the samples are distributed. Its interval
// runs between two of them: how many lie below the true median is binomial, each
// does so by the toss of a coin. Fewer than six samples cannot be 95 % sure:
// then it has all of them.
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

// outside returns how many of n sorted samples the interval leaves out at each
// end. The interval misses the true median on one side if at most that many
// samples lie there, which has to have a probability of 2.5 % or less.
func outside(n int) int {
	const tail = 0.025
	k := 0
	for p := binomial(n, 0) + binomial(n, 1); p <= tail; p += binomial(n, k+1) {
		k++
	}
	return k
}

// binomial is the probability of k heads in n tosses.
func binomial(n, k int) float64 {
	lg := func(i int) float64 { v, _ := math.Lgamma(float64(i) + 1); return v }
	return math.Exp(lg(n) - lg(k) - lg(n-k) - float64(n)*math.Ln2)
}

// ratio compares two subjects round by round: what else the machine did in a
// round fell on both.
func ratio(of, to []float64) estimate {
	r := make([]float64, len(of))
	for i := range of {
		r[i] = of[i] / to[i]
	}
	return estimateOf(r)
}

// difference is ratio's counterpart for what is added.
func difference(of, to []float64) estimate {
	d := make([]float64, len(of))
	for i := range of {
		d[i] = of[i] - to[i]
	}
	return estimateOf(d)
}
