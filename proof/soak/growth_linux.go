package main

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// What counts as growth. At the end no goroutine and no descriptor may be left, and
// the heap may have grown by at most heapSlack. During the run, after filling, the
// mean of the last third of the samples may exceed that of the first third by at most
// a tenth and a slack, for the operations that happen to run. The race detector never
// frees its memory, so with it resident memory is printed and not checked.
const (
	heapSlack       = 2 << 20
	goroutineSlack  = 50
	descriptorSlack = 50
	memorySlack     = 8 << 20
	fewest          = 9 // samples for a trend
)

// filling is the time after which the number of boxes and their records no longer
// grow.
const filling = time.Minute

// leaked compares what the process holds while no operation runs.
func leaked(before, after resources) error {
	return errors.Join(
		forgotten(before, after),
		left("descriptors", before.descriptors, after.descriptors),
		left("heap", int(before.heap), int(after.heap)-heapSlack),
	)
}

// forgotten compares what the process holds while no operation runs, with no garbage
// collection since. Pipes do not count: package net keeps its pipes for splice.
func forgotten(before, after resources) error {
	return errors.Join(
		left("goroutines", before.goroutines, after.goroutines),
		left("sockets", before.sockets, after.sockets),
	)
}

func left(what string, before, after int) error {
	if after <= before {
		return nil
	}
	return fmt.Errorf("%s leaked: %d after the warm-up, %d at the end", what, before, after)
}

// grown compares the first third of the samples with the last, prints both means, and
// returns an error for what has grown.
func grown(out io.Writer, samples []resources) error {
	if len(samples) < fewest {
		fmt.Fprintf(out, "%d samples: too few to measure growth\n", len(samples))
		return nil
	}
	third := len(samples) / 3
	early, late := samples[:third], samples[len(samples)-third:]
	var errs []error
	for _, q := range []struct {
		name        string
		value       func(resources) float64
		slack, unit float64
		printed     bool // and not checked
	}{
		{"goroutines", func(r resources) float64 { return float64(r.goroutines) }, goroutineSlack, 1, false},
		{"descriptors", func(r resources) float64 { return float64(r.descriptors) }, descriptorSlack, 1, false},
		{"heap, MiB", func(r resources) float64 { return float64(r.heap) }, memorySlack, 1 << 20, false},
		{"resident, MiB", func(r resources) float64 { return float64(r.rss) }, memorySlack, 1 << 20, raceDetector},
	} {
		from, to := mean(early, q.value), mean(late, q.value)
		bound := from*1.1 + q.slack
		fmt.Fprintf(out, "  %-14s first third %8.1f, last third %8.1f, bound %8.1f\n", q.name, from/q.unit, to/q.unit, bound/q.unit)
		if to > bound && !q.printed {
			errs = append(errs, fmt.Errorf("%s grew from %.1f to %.1f", q.name, from/q.unit, to/q.unit))
		}
	}
	return errors.Join(errs...)
}

func mean(samples []resources, value func(resources) float64) (sum float64) {
	for _, r := range samples {
		sum += value(r)
	}
	return sum / float64(len(samples))
}
