package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/godscp/godscp/dscp"
)

const (
	chunk = 64 << 10 // of one Read or Write
	// What is traced moves so little at a time that it fits into any buffer: how
	// often a call has to be made again does not depend on how fast the other end is.
	tracedPortion = 32 << 10
	tracedChunk   = 4 << 10
)

func measureCopy(b *bench) (string, error) {
	far, err := startFarEnd(b.ctx)
	if err != nil {
		return "", err
	}
	defer far.Close()
	pinned, done, err := connectWires(far, b.moved, chunk)
	if err != nil {
		return "", err
	}
	defer done()
	bare := pinned.bare()
	t := &table{head: []string{"", "`*net.TCPConn`", "throughput of `*dscp.Conn`", "`*net.TCPConn` again (noise)", "system calls", "of `*dscp.Conn`"}}
	var traced string
	if err := far.Call("Mover.Serve", Portion{families[0].address, tracedPortion}, &traced); err != nil {
		return "", err
	}
	for i, op := range copies {
		run := func(w wires) func() (time.Duration, error) {
			return func() (time.Duration, error) {
				begin := time.Now()
				err := op.move(w)
				return time.Since(begin), err
			}
		}
		seconds, err := interleave(b.rounds, []subject{{"bare", run(bare)}, {"bare again", run(bare)}, {"pinned", run(pinned)}})
		if err != nil {
			return "", fmt.Errorf("%s: %w", op.name, err)
		}
		var c [2]calls
		for j, kind := range []string{"bare", "pinned"} {
			if c[j], err = b.strace.perOperation(b.ctx, nil, "copy", strconv.Itoa(i), kind, traced); err != nil {
				return "", err
			}
		}
		base := seconds[0]
		t.add(op.name, fmt.Sprintf("%.1f GB/s", float64(b.moved)/1e9/estimateOf(base).median),
			ratio(base, seconds[2]).String(), ratio(base, seconds[1]).String(), c[0].String(), c[1].minus(c[0]))
	}
	return fmt.Sprintf("%v\n%d MiB a round in chunks of %d KiB over one connection that is used with its pin and without; %s\nSystem calls for each %d KiB in chunks of %d KiB, one order and one receipt included.\n",
		t, b.moved>>20, chunk>>10, conditions(b.rounds), tracedPortion>>10, tracedChunk>>10), nil
}

// connectWires connects two pinned conns to a Mover of its own.
func connectWires(far *farEnd, portion int64, chunk int) (wires, func(), error) {
	var address string
	if err := far.Call("Mover.Serve", Portion{families[0].address, portion}, &address); err != nil {
		return wires{}, nil, err
	}
	return openWires(address, portion, chunk)
}

func openWires(address string, portion int64, chunk int) (w wires, done func(), err error) {
	var opened []io.Closer
	done = func() {
		for _, c := range opened {
			c.Close()
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	w = wires{portion: portion, buf: make([]byte, chunk)}
	d := dscp.Dialer{DSCP: dscp.AF21}
	for _, end := range []*net.Conn{&w.in, &w.out} {
		if *end, err = d.Dial("tcp", address); err != nil {
			return w, nil, err
		}
		opened = append(opened, *end)
	}
	if w.file, err = os.CreateTemp("", "bench"); err != nil {
		return w, nil, err
	}
	opened = append(opened, w.file)
	if err = os.Remove(w.file.Name()); err != nil {
		return w, nil, err
	}
	_, err = io.Copy(w.file, &zeros{portion})
	return w, done, err
}

func netConn(c net.Conn) net.Conn { return c.(*dscp.Conn).TCPConn }

// copyJob is what is traced: args are a way to copy, whether the conns are pinned,
// the far end's address and how many portions to move.
func copyJob(args []string) error {
	op, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	w, done, err := openWires(args[2], tracedPortion, tracedChunk)
	if err != nil {
		return err
	}
	defer done()
	if args[1] == "bare" {
		w = w.bare()
	}
	for range n {
		if err := copies[op].move(w); err != nil {
			return err
		}
	}
	return nil
}
