package main

// A scale says how much is measured.
type scale struct {
	rounds    int   // of every comparison
	dials     int   // in a round, one after the other and in parallel
	accepts   int   // in a round
	refusals  int   // in a round
	pairs     int   // of open connections
	openings  int   // how often all of them are opened
	moved     int64 // octets in a round
	streamed  int64 // octets in a round through the lab
	asks      int   // first bytes in a round through the lab
	fewCalls  int   // operations of the short run under strace
	manyCalls int   // and of the long one
}

var (
	// full takes about six minutes on two cores.
	full = scale{
		rounds: 200, dials: 256, accepts: 256, refusals: 2000, pairs: 25000, openings: 6,
		moved: 16 << 20, streamed: 32 << 20, asks: 10, fewCalls: 50, manyCalls: 250,
	}
	tiny = scale{
		rounds: 3, dials: 64, accepts: 16, refusals: 100, pairs: 100, openings: 1,
		moved: 1 << 20, streamed: 1 << 20, asks: 2, fewCalls: 5, manyCalls: 15,
	}
)
