// Package long sizes tests that repeat something many times.
//
// A test that needs few repetitions, and finds more with many, calls [N] for their
// number. By default N returns the short size. With the environment variable
// GODSCP_LONG=1 it returns the long one, in every package:
//
//	GODSCP_LONG=1 go test ./...
package long

import "os"

// Variable is the environment variable that selects the long sizes, with any value but
// "" and "0".
const Variable = "GODSCP_LONG"

// N returns long if Variable selects the long sizes, and short otherwise.
func N(short, long int) int {
	if v := os.Getenv(Variable); v != "" && v != "0" {
		return long
	}
	return short
}
