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
	// Under strace a portion fits into any socket buffer, so that the number of calls
	// does not depend on the speed of the other end.
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
	return fmt.Sprintf("%v\n%d MiB a round in chunks of %d KiB over one connection, used with its pin and without; %s\nSystem calls for each %d KiB in chunks of %d KiB, including one order and one answer.\n",
		t, b.moved>>20, chunk>>10, conditions(b.rounds), tracedPortion>>10, tracedChunk>>10), nil
}

// connectWires connects two pinned conns to a new Mover.
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

// copyJob runs under strace. Its args are the index of a copy, "bare" or "pinned", the far
// end's address and the number of portions.
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
