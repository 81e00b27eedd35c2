// Soak keeps the library busy for a long time and looks for faults that only a long
// run shows: a goroutine, a descriptor or memory that is not freed, a byte that is
// wrong, a call that hangs.
//
//	GOWORK=off go run -C proof -race ./soak -for 20m
//
// Several workers dial over IPv4, IPv6 and by name, directly and through middleboxes
// of dscptest. They send and receive with every method of package net. Dials are
// refused and cancelled, connections are reset and silenced. All of it stays on
// loopback. Soak prints a line every few seconds and a summary at the end. The exit
// status is 1 if anything was wrong, and 2, after all stacks, if something hung.
//
// The operations of a worker derive from one seed. Which box they use, and their
// order among the workers, depends on the time as well.
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
