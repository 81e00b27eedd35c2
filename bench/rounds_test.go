package main

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInterleave(t *testing.T) {
	var order []string
	subjects := make([]subject, 3)
	for i, name := range []string{"a", "b", "c"} {
		round := 0
		subjects[i] = subject{name, func() (time.Duration, error) {
			order = append(order, name)
			round++
			return time.Duration(round) * time.Second, nil
		}}
	}
	const rounds = 30
	seconds, err := interleave(rounds, subjects)
	require.NoError(t, err)
	require.Len(t, order, 3*(rounds+1))
	first := map[string]int{}
	for round := range rounds + 1 {
		assert.ElementsMatch(t, []string{"a", "b", "c"}, order[3*round:3*round+3], "round %d", round)
		first[order[3*round]]++
	}
	assert.Len(t, first, 3, "each is the first in some round")
	for i := range subjects {
		require.Len(t, seconds[i], rounds)
		assert.Equal(t, 2.0, seconds[i][0], "the warm-up does not count")
		assert.Equal(t, float64(rounds+1), seconds[i][rounds-1])
	}
	subjects[1].run = func() (time.Duration, error) { return 0, errors.New("no") }
	_, err = interleave(rounds, subjects)
	assert.EqualError(t, err, "b: no")
}
