// Package cli parses the flags of the example programs. What is wrong with them is
// said in one line, which does not scroll away under a list of all flags.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// Parse parses args. For -h it prints the usage and the flags to stderr and returns
// [flag.ErrHelp]; any other error it has reported as [Refuse] does.
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

// Refuse reports to stderr what is wrong with the arguments, tells where to read
// about them, and returns err.
func Refuse(fs *flag.FlagSet, stderr io.Writer, err error) error {
	fmt.Fprintf(stderr, "%[1]s: %[2]v\nTry \"%[1]s -h\".\n", fs.Name(), err)
	return err
}
