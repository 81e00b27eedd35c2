package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A subject is one of the things that are measured side by side.
type subject struct {
	name string
	run  func() (time.Duration, error) // one round's work, and how long it took
}

// interleave runs every subject once in each round, in an order that is drawn
// anew each time, so that neither drift nor what ran before favours one. The
// first round warms up and does not count. It returns the seconds of each
// subject by round.
func interleave(rounds int, subjects []subject) ([][]float64, error) {
	order := rand.New(rand.NewPCG(0, 0)) // the same in every run
	seconds := make([][]float64, len(subjects))
	for round := range rounds + 1 {
		for _, i := range order.Perm(len(subjects)) {
			took, err := subjects[i].run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", subjects[i].name, err)
			}
			if round > 0 {
				seconds[i] = append(seconds[i], took.Seconds())
			}
		}
	}
	return seconds, nil
}
