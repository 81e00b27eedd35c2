package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// largest bounds an input that is kept.
const largest = 1 << 10

// keepAll copies inputs from Go's cache for each target.
func keepAll(most int, targets []target, w io.Writer) error {
	for _, t := range targets {
		n, err := keep(filepath.Join(t.cache, t.name), filepath.Join(t.dir, "testdata", "fuzz", t.name), most)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: %d inputs kept\n", t.name, n)
	}
	return nil
}

// keep copies inputs from one directory to another, until that has most files. Each
// input in the cache reached new code when it was found. keep sorts them by size and
// takes them at even distances.
func keep(from, to string, most int) (kept int, err error) {
	there, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	have := make(map[string]bool)
	for _, e := range there {
		have[e.Name()] = true
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil // nothing was found
		}
		return 0, err
	}
	type input struct {
		name string
		size int64
	}
	var inputs []input
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		if info.Size() <= largest && !have[e.Name()] {
			inputs = append(inputs, input{e.Name(), info.Size()})
		}
	}
	slices.SortFunc(inputs, func(a, b input) int { return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.name, b.name)) })
	room := min(most-len(have), len(inputs))
	for i := range room {
		in := inputs[i*len(inputs)/room]
		text, err := os.ReadFile(filepath.Join(from, in.name))
		if err != nil {
			return kept, err
		}
		if err := os.MkdirAll(to, 0o755); err != nil {
			return kept, err
		}
		if err := os.WriteFile(filepath.Join(to, in.name), text, 0o644); err != nil {
			return kept, err
		}
		kept++
	}
	return kept, nil
}
