package dscptest_test

import "errors"

// Plan 9 has no errno, and no box starts there.
var (
	errReset   = errors.New("connection reset")
	errRefused = errors.New("connection refused")
	errInUse   = errors.New("address in use")
)
