package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A subject is one of the things that are compared.
type subject struct {
	name string
	run  func() (time.Duration, error) // does the work of one round and returns its duration
}

// interleave runs every subject once in each round, in a random order, so that neither
// drift nor the subject that ran before favours one. The first round is a warm-up and does
// not count. It returns the seconds of each subject by round.
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
