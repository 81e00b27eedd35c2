package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWatchdog(t *testing.T) {
	d := &watchdog{running: map[int]running{}}
	free := d.watch("slow")
	_, hangs := d.hanging()
	assert.False(t, hangs)
	d.running[0] = running{"slow", time.Now().Add(-2 * patience)}
	name, hangs := d.hanging()
	assert.True(t, hangs)
	assert.Equal(t, "slow", name)
	free()
	_, hangs = d.hanging()
	assert.False(t, hangs)
}
