package main

// A scale says how much is measured. Rounds are many and short: a short one is
// less likely to be interrupted by what else runs, and the median leaves out
// those that were.
type scale struct {
	rounds        int   // of every comparison but those of whole connections
	dials         int   // in a round
	parallelDials int   // in a round
	accepts       int   // in a round
	refusals      int   // in a round
	pairs         int   // of open connections
	openings      int   // how often all of them are opened
	moved         int64 // octets in a round
	streamed      int64 // octets in a round through the lab
	fewCalls      int   // operations of the short run under strace
	manyCalls     int   // and of the long one
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

// streams is how many rounds there are of streams through the lab, which take
// long, and asks of first bytes there, which leave ports in TIME_WAIT.
func (s scale) streams() int { return (s.rounds + 3) / 4 }
func (s scale) asks() int    { return (s.rounds + 1) / 2 }
