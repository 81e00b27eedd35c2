package dscp_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// attackEnv names the environment variable that has TestWireAttack and
// TestWireAttackUDP go on for so long with each route, rather than only once
// through; a flag would not reach the process in its namespace.
//
//	GODSCP_ATTACK=40s go test -run TestWireAttack -v -timeout 30m ./dscp
const attackEnv = "GODSCP_ATTACK"

// attackFor returns a condition that holds once, and then for as long as one of
// several runs over a route may take.
func attackFor(t *testing.T, runs int) (again func() bool) {
	t.Helper()
	var end time.Time
	if v := os.Getenv(attackEnv); v != "" {
		length, err := time.ParseDuration(v)
		require.NoError(t, err, attackEnv)
		end = time.Now().Add(length / time.Duration(runs))
	}
	first := true
	return func() bool {
		more := first || time.Now().Before(end)
		first = false
		return more
	}
}

// An attackRow is what came of attacks on a flow, or on all that a route was
// tried on.
type attackRow struct {
	route                             string
	flows, attempts, foreign, packets int
	worst                             float64 // the greatest share of foreign packets in a flow
}

// An attackTable has a row for each route.
type attackTable []*attackRow

// add adds what came of one flow.
func (t *attackTable) add(flow attackRow) {
	flow.flows, flow.worst = 1, float64(flow.foreign)/float64(max(flow.packets, 1))
	for _, row := range *t {
		if row.route == flow.route {
			row.flows += flow.flows
			row.attempts += flow.attempts
			row.foreign += flow.foreign
			row.packets += flow.packets
			row.worst = max(row.worst, flow.worst)
			return
		}
	}
	*t = append(*t, &flow)
}

// String returns the table as Markdown.
func (t *attackTable) String() string {
	var b strings.Builder
	b.WriteString("| route | flows | attempts, all refused | foreign packets | of | worst flow |\n|---|---|---|---|---|---|\n")
	for _, r := range *t {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %.1f %% |\n", r.route, r.flows, r.attempts, r.foreign, r.packets, 100*r.worst)
	}
	return b.String()
}
