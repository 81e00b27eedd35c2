package main

// A scale has the sizes of the measurements. Rounds are many and short: other load is less
// likely to interrupt a short one, and the median ignores those that it did interrupt.
type scale struct {
	rounds        int   // of every comparison except openings
	dials         int   // in a round
	parallelDials int   // in a round
	accepts       int   // in a round
	refusals      int   // in a round
	pairs         int   // of open connections
	openings      int   // rounds in which all pairs are opened
	moved         int64 // bytes in a round
	streamed      int64 // bytes in a round through the lab
	fewCalls      int   // operations in the short run under strace
	manyCalls     int   // operations in the long run
}

var (
	// full takes about four minutes on two cores.
	full = scale{
		rounds: 800, dials: 64, parallelDials: 2 * parallel, accepts: 64, refusals: 500, pairs: 25000, openings: 6,
		moved: 4 << 20, streamed: 8 << 20, fewCalls: 50, manyCalls: 250,
	}
	tiny = scale{
		rounds: 3, dials: 16, parallelDials: parallel, accepts: 16, refusals: 100, pairs: 100, openings: 1,
		moved: 1 << 20, streamed: 1 << 20, fewCalls: 5, manyCalls: 15,
	}
)

// streams returns the number of rounds of streams through the lab, which take long. asks
// returns that of first bytes, which leave ports in TIME_WAIT.
func (s scale) streams() int { return (s.rounds + 3) / 4 }
func (s scale) asks() int    { return (s.rounds + 1) / 2 }
