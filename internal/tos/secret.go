package tos

import "sync/atomic"

// secret is what the filter of a sealed process requires; 0 if there is none.
var secret atomic.Uint64

// UseSecret makes Set use a system call that carries s from now on, which the filter
// of a sealed process allows. Without a filter such a call sets the octet as well.
// After UseSecret(0), Set calls x/net again.
func UseSecret(s uint64) { secret.Store(s) }
