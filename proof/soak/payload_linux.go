package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

const payloadSize = 4 << 20

// errWrong says that a byte was not the one that was sent.
var errWrong = errors.New("wrong bytes")

// A payload is random octets, in memory and in a file. Every transfer sends a part of
// them, so that each end knows what it has to receive: a byte that is wrong, missing,
// doubled or from another connection is found.
type payload struct {
	octets []byte
	file   string
}

func newPayload(seed uint64) (*payload, error) {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	p := &payload{octets: make([]byte, payloadSize)}
	rand.NewChaCha8(key).Read(p.octets) //nolint:errcheck // it cannot fail
	f, err := os.CreateTemp("", "soak")
	if err != nil {
		return nil, err
	}
	p.file = f.Name()
	_, err = f.Write(p.octets)
	if err := errors.Join(err, f.Close()); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

func (p *payload) remove() { os.Remove(p.file) }

// A part is a piece of the payload.
type part struct {
	payload *payload
	offset  int
	size    int
}

// part returns a random piece: mostly a small one, sometimes a large one.
func (w *worker) part() part {
	size := w.rng.IntN(one(w, []int{1, 200, 5_000, 5_000, 70_000, 400_000}))
	return part{w.payload, w.rng.IntN(payloadSize - size), size}
}

func (p part) octets() []byte { return p.payload.octets[p.offset:][:p.size] }

// open returns the part as a file, for sendfile.
func (p part) open() (*io.LimitedReader, *os.File, error) {
	f, err := os.Open(p.payload.file)
	if err != nil {
		return nil, nil, err
	}
	if _, err := f.Seek(int64(p.offset), io.SeekStart); err != nil {
		f.Close()
		return nil, nil, err
	}
	return &io.LimitedReader{R: f, N: int64(p.size)}, f, nil
}

// A checker compares what is written to it with a part.
type checker struct {
	want part
	got  int
}

func (c *checker) Write(b []byte) (int, error) {
	rest := c.want.octets()[c.got:]
	if len(b) > len(rest) {
		return 0, fmt.Errorf("%w: %d octets more than the %d that were sent", errWrong, len(b)-len(rest), c.want.size)
	}
	if !bytes.Equal(b, rest[:len(b)]) {
		return 0, fmt.Errorf("%w: the %d octets from %d of %d on", errWrong, len(b), c.got, c.want.size)
	}
	c.got += len(b)
	return len(b), nil
}

// end returns an error if octets are missing.
func (c *checker) end() error {
	if c.got < c.want.size {
		return fmt.Errorf("%w: %d of %d octets", io.ErrUnexpectedEOF, c.got, c.want.size)
	}
	return nil
}
