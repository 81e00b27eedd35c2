// Dscpvet finds calls that mark packets with a DSCP wrongly.
//
//	go vet -vettool=$(which dscpvet) ./...
//
// Given package patterns, it runs that command itself:
//
//	dscpvet ./...
//
// See [github.com/godscp/godscp/dscpvet] for the checks and their flags. The
// flags of go vet work, too: -json prints findings as JSON, -diff the suggested
// fixes, -fix applies them.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/godscp/godscp/dscpvet"
)

func main() {
	if byHand(os.Args[1:]) {
		os.Exit(vet(os.Args[1:]))
	}
	unitchecker.Main(dscpvet.Analyzer)
}

// byHand reports whether the command was not started by go vet, which passes one
// file named *.cfg, or asks for the version or the flags.
func byHand(args []string) bool {
	patterns := 0
	for _, a := range args {
		switch {
		case strings.HasSuffix(a, ".cfg"), strings.HasPrefix(a, "-V"), a == "-flags", a == "help":
			return false
		case !strings.HasPrefix(a, "-"):
			patterns++
		}
	}
	return patterns > 0
}

// vet runs go vet with this program as its tool and returns the exit code.
func vet(args []string) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dscpvet:", err)
		return 1
	}
	cmd := exec.Command("go", append([]string{"vet", "-vettool=" + self}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "dscpvet:", err)
		return 1
	}
	return 0
}
