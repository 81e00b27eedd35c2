// Soak keeps the library busy for a long time and looks for what only time
// shows: a goroutine, a descriptor or memory that is not given back, a byte that
// is wrong, a call that hangs.
//
//	GOWORK=off go run -C proof -race ./soak -for 20m
//
// Several workers dial over both families and by name, directly and through boxes
// of dscptest that come and go, move bytes both ways in every way that package
// net has, and are refused, cancelled, reset and silenced on the way. All of it
// stays on loopback. It prints a line every few seconds and ends with a summary,
// with status 1 if anything was wrong, or 2 and all stacks if something hung.
//
// What a worker does derives from one seed; which box it meets, and who is first,
// depends on the time as well.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	c := config{out: os.Stdout}
	flag.DurationVar(&c.length, "for", 20*time.Minute, "how long to soak, after the warm-up")
	flag.Uint64Var(&c.seed, "seed", 0, "repeat the operations of the run with this seed; 0 takes a new one")
	flag.IntVar(&c.workers, "workers", 8, "how many operations run at a time")
	flag.Parse()
	if c.seed == 0 {
		c.seed = rand.Uint64()
	}
	if err := c.soak(); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("PASS")
}
