package tos

import "sync/atomic"

// secret is what the filter of a sealed process wants to see, or 0.
var secret atomic.Uint64

// UseSecret has every octet from now on set by a system call of our own that
// carries s, which a filter of system calls lets through. 0 leaves the work to
// x/net again. Without a filter such a call sets the octet all the same.
func UseSecret(s uint64) { secret.Store(s) }
