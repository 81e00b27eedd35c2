package dscptest

import "time"

// A delayLine delivers items in order, each a fixed time after it was added and not
// before the one added earlier plus an extra delay. One goroutine adds items and
// another delivers them.
type delayLine[T any] struct {
	delay time.Duration
	items chan delayed[T]
	last  time.Time // when the latest item is due
	stop  <-chan struct{}
}

type delayed[T any] struct {
	item T
	due  time.Time
}

// lineLength is the maximum number of items on a line.
const lineLength = 1024

func newDelayLine[T any](delay time.Duration, stop <-chan struct{}) *delayLine[T] {
	return &delayLine[T]{delay: delay, items: make(chan delayed[T], lineLength), stop: stop}
}

// push adds an item, and waits while the line is full.
func (l *delayLine[T]) push(item T) {
	select {
	case l.items <- delayed[T]{item, l.due(0)}:
	case <-l.stop:
	}
}

// offer adds an item that is delayed by extra, or drops it if the line is full.
func (l *delayLine[T]) offer(item T, extra time.Duration) {
	due := l.due(extra)
	select {
	case l.items <- delayed[T]{item, due}:
		l.last = due
	default:
	}
}

// due returns when an item that is added now is due.
func (l *delayLine[T]) due(extra time.Duration) time.Time {
	due := time.Now().Add(l.delay)
	if due.Before(l.last) {
		due = l.last
	}
	return due.Add(extra)
}

// run delivers until the line is closed and empty, or stopped.
func (l *delayLine[T]) run(deliver func(T)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.stop:
			return
		case d, ok := <-l.items:
			if !ok {
				return
			}
			timer.Reset(time.Until(d.due))
			select {
			case <-l.stop:
				return
			case <-timer.C:
			}
			deliver(d.item)
		}
	}
}
