// Package cli parses the flags of the example programs. It reports an error in two
// lines; package flag would print the list of all flags below it.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// Parse parses args. For -h it prints the usage and the flags to stderr and returns
// [flag.ErrHelp]. It reports any other error as [Refuse] does, and returns it.
func Parse(fs *flag.FlagSet, usage string, args []string, stderr io.Writer) error {
	fs.SetOutput(io.Discard)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		fs.SetOutput(stderr)
		fs.PrintDefaults()
		return err
	case err != nil:
		return Refuse(fs, stderr, err)
	}
	return nil
}

// Refuse prints err and a hint to -h to stderr, and returns err.
func Refuse(fs *flag.FlagSet, stderr io.Writer, err error) error {
	fmt.Fprintf(stderr, "%[1]s: %[2]v\nTry \"%[1]s -h\".\n", fs.Name(), err)
	return err
}
