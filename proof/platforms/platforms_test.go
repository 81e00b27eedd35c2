package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const example = "@@ kernel 5.10.0-32-cloud-amd64 amd64\r\n" + `@@ go go1.26.8
@@ command .ci/kernels bullseye
SeaBIOS
@@ begin dialer root
=== CONT  TestWithRetries
    hook_test.go:290: this system has no Multipath TCP, so nothing is retried
--- SKIP: TestWithRetries (0.00s)
--- PASS: TestWithOrder (0.01s)
PASS
@@ end dialer root 0
@@ begin dscp nobody
=== RUN   TestWire
    wire_test.go:5: in a new namespace:
        === RUN   TestWire
            wire_test.go:9: nft is not installed
        --- SKIP: TestWire (0.00s)
    inside_linux.go:131: skipped in its namespace; the reason is in the log above
--- SKIP: TestWire (0.30s)
        	            	@@ -1 +1 @@
=== NAME  TestFamilies/IPv6
    families_test.go:7: no IPv6
--- PASS: TestFamilies (0.00s)
    --- SKIP: TestFamilies/IPv6 (0.00s)
    ring_test.go:3: Diff:
        @@ -1 +1 @@
--- FAIL: TestRing (1.00s)
--- FAIL: TestStill (1.00s)
@@ end dscp nobody 1
@@ again dscp nobody
--- PASS: TestRing (1.00s)
--- FAIL: TestStill (1.00s)
@@ end dscp nobody 1
[    5.4] tcp: @@ begin examples/vmware:main root
@@ end examples/vmware:main root 0
@@ done
`

// TestRead reads a log as .ci/kernels writes it.
func TestRead(t *testing.T) {
	t.Parallel()
	p, err := read(strings.NewReader(example))
	require.NoError(t, err)
	assert.Equal(t, platform{
		kind: "kernel", name: "5.10.0-32-cloud-amd64 amd64", release: "go1.26.8",
		command: ".ci/kernels bullseye", done: true,
		runs: []*run{
			{pkg: "dialer", user: "root", passed: 1, status: "0",
				skips: []skip{{"TestWithRetries", "this system has no Multipath TCP, so nothing is retried"}}},
			{pkg: "dscp", user: "nobody", passed: 2, status: "1",
				fails: []string{"TestStill"}, again: []string{"TestRing"},
				skips: []skip{{"TestWire", "nft is not installed"}, {"TestFamilies/IPv6", "no IPv6"}}},
			{pkg: "examples/vmware:main", user: "root", status: "0"},
		},
	}, p)
	assert.True(t, p.failed())

	var report, table strings.Builder
	writeReport(&report, []platform{p})
	assert.Contains(t, report.String(), "skipped: TestWire: nft is not installed")
	assert.Contains(t, report.String(), "passed at the second attempt: TestRing")
	assert.Contains(t, report.String(), "failed: TestStill")
	second, err := read(strings.NewReader(`@@ kernel 5.10.0-32-cloud-amd64 amd64, 2 processors
@@ go go1.26.8
@@ command .ci/kernels bullseye
@@ begin internal/packet root
--- PASS: TestRing (0.01s)
@@ end internal/packet root 0
@@ done
`))
	require.NoError(t, err)
	lacking, err := read(strings.NewReader("@@ system Windows in Wine\n@@ go go1.26.8\n@@ command .ci/systems windows\n@@ not executed: no wine\n"))
	require.NoError(t, err)
	writeTable(&table, []platform{p, second, lacking})
	want, err := os.ReadFile("testdata/table.md")
	require.NoError(t, err)
	assert.Equal(t, string(want), table.String())
}

// TestFailed names the logs that count as failures.
func TestFailed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		log    string
		failed bool
	}{
		"passed":                {"@@ begin dscp root\n--- PASS: TestA (0.00s)\n@@ end dscp root 0\n@@ done\n", false},
		"a program":             {"@@ begin examples/vmware:main root\n@@ end examples/vmware:main root 0\n@@ done\n", false},
		"a program failed":      {"@@ begin examples/vmware:main root\n@@ end examples/vmware:main root 1\n@@ done\n", true},
		"second attempt":        {"@@ begin dscp root\n--- FAIL: TestA (0.00s)\n@@ end dscp root 1\n@@ again dscp root\n--- PASS: TestA (0.00s)\n@@ end dscp root 0\n@@ done\n", false},
		"second attempt failed": {"@@ begin dscp root\n--- FAIL: TestA (0.00s)\n@@ end dscp root 1\n@@ again dscp root\n--- FAIL: TestA (0.00s)\n@@ end dscp root 1\n@@ done\n", true},
		"no test ran":           {"@@ begin dscp root\nPASS\n@@ end dscp root 0\n@@ done\n", true},
		"crashed":               {"@@ begin dscp root\n--- PASS: TestA (0.00s)\npanic: here\n@@ end dscp root 2\n@@ done\n", true},
		"stopped in a run":      {"@@ begin dscp root\n--- PASS: TestA (0.00s)\n", true},
		"stopped between runs":  {"@@ begin dscp root\n--- PASS: TestA (0.00s)\n@@ end dscp root 0\n", true},
		"kernel complained":     {"@@ begin dscp root\n--- PASS: TestA (0.00s)\n@@ end dscp root 0\n@@ kernel WARNING: here\n@@ done\n", true},
		"emulator failed":       {"@@ failed: qemu: exit status 1\n@@ done\n", true},
		"not executed":          {"@@ not executed: wine is not installed\n", false},
	} {
		p, err := read(strings.NewReader("@@ kernel 6.1 amd64\n" + tt.log))
		require.NoError(t, err, name)
		assert.Equal(t, tt.failed, p.failed(), name)
	}
}

func TestReadRejectsMalformedLogs(t *testing.T) {
	t.Parallel()
	for _, log := range []string{"", "@@ done\n", "@@ kernel 6.1\n@@ begin dscp\n", "@@ kernel 6.1\n@@ end dscp root 0\n"} {
		_, err := read(strings.NewReader(log))
		assert.Error(t, err, "%q", log)
	}
}
