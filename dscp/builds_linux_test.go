package dscp_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/internal/long"
	"github.com/godscp/godscp/internal/testns"
)

// remarks sets the mark of c through x/net over and over, so that x/net's functions
// are the hottest of a CPU profile. A compiler with that profile inlines them here.
func remarks(c net.Conn, until time.Time) (last error) {
	x := ipv4.NewConn(c)
	for time.Now().Before(until) {
		for range 1000 {
			last = x.SetTOS(int(dscp.CS1.TOS()))
		}
	}
	return last
}

// TestRemarksAreRefused runs the loop of the profile on a pinned conn.
func TestRemarksAreRefused(t *testing.T) {
	client, _ := families[0].connect(t, dialled(dscp.Dialer{DSCP: dscp.AF21}), listened(dscp.ListenConfig{}))
	require.ErrorIs(t, remarks(client, time.Now().Add(50*time.Millisecond)), dscp.ErrMidFlow)
	require.NoError(t, client.(*dscp.Conn).Verify())
}

// TestEveryBuild runs the sieges, and the tests that package dscp recognises x/net, in
// builds in which the compiler names and places functions differently. Each build
// compiles the standard library again.
func TestEveryBuild(t *testing.T) {
	if long.N(0, 1) == 0 {
		t.Skipf("builds the tests several times: set %s=1 to run it", long.Variable)
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		testns.Lacks(t, "needs the go command: %v", err)
	}
	profile := filepath.Join(t.TempDir(), "default.pgo")
	f, err := os.Create(profile)
	require.NoError(t, err)
	require.NoError(t, pprof.StartCPUProfile(f))
	bare, _ := families[0].connect(t, net.Dial, net.Listen)
	require.NoError(t, remarks(bare, time.Now().Add(3*time.Second)))
	pprof.StopCPUProfile()
	require.NoError(t, f.Close())

	for name, flags := range map[string][]string{
		"profile":  {"-pgo=" + profile},
		"stripped": {"-trimpath", "-ldflags=-s -w"},
		"inlining": {"-gcflags=all=-l"},
		"pie":      {"-buildmode=pie"},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "dscp.test")
			build := exec.CommandContext(t.Context(), tool, append(append([]string{"test", "-c", "-o", program}, flags...), ".")...)
			build.Env = append(os.Environ(), "GOFLAGS=") // drops -race, which -buildmode=pie does not support
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)
			if name == "profile" {
				symbols, err := exec.Command(tool, "tool", "nm", program).Output()
				require.NoError(t, err)
				require.Contains(t, string(symbols), "SetInt.(*Option).set.func1", "the profile does not inline x/net: the build tests nothing")
			}
			cmd := exec.CommandContext(t.Context(), program, "-test.run=^(TestWireSiege.*|TestXNet.*|TestRemarks.*|TestWireAttack|TestSeal)$", "-test.v")
			cmd.Env = append(os.Environ(), long.Variable+"=") // the short runs
			out, err = cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "--- PASS: TestWireSiege ")
			require.Contains(t, string(out), "--- PASS: TestXNetClosuresAreKnown ")
		})
	}
}
