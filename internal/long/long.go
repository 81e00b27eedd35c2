// Package long sizes tests that repeat something many times.
//
// A test that gains by more repetitions, but proves its point with few, asks [N]
// how many to make. `go test` takes the short size. The environment variable
// GODSCP_LONG=1 asks for the long one, in every package:
//
//	GODSCP_LONG=1 go test ./...
package long

import "os"

// Variable is the environment variable that asks for the long sizes. Any value
// but the empty one and "0" does.
const Variable = "GODSCP_LONG"

// N returns long if the environment asks for long tests, and short otherwise.
func N(short, long int) int {
	if v := os.Getenv(Variable); v != "" && v != "0" {
		return long
	}
	return short
}
