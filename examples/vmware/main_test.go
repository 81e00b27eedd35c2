package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/pinexec"
)

// asProgram makes the test binary run the program, for tests that send signals to a
// process.
const asProgram = "GODSCP_VMWARE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	pinexec.Init()
	beSealed()
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// skip skips a test that cannot run here. In CI it fails the test.
func skip(t *testing.T, why ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why...)
	}
	t.Skip(why...)
}

// needBox skips the test if no box can run here.
func needBox(t *testing.T) {
	t.Helper()
	box, err := dscptest.Start("127.0.0.1:1")
	if errors.Is(err, errors.ErrUnsupported) {
		skip(t, err)
	}
	require.NoError(t, err)
	require.NoError(t, box.Close())
}

// families are the flags for each address family that has a loopback address.
func families(t *testing.T) map[string][]string {
	t.Helper()
	f := map[string][]string{"IPv4": {"-4"}}
	if network, _ := chooseNetwork(t.Context(), false); network == "tcp6" {
		f["IPv6"] = nil
	}
	return f
}

// printed is a row as -json prints it.
type printed struct {
	Strategy, SYN, After, Box, Program, Outcome, Expected string
	Marks                                                 []string
	OK                                                    bool
}

// runJSON runs the program with -json and returns its rows.
func runJSON(t *testing.T, args ...string) (rows []printed, status int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), append(args, "-json"), &out, &errs)
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	for {
		var r printed
		err := d.Decode(&r)
		if err == io.EOF {
			return rows, status, errs.String()
		}
		require.NoError(t, err)
		rows = append(rows, r)
	}
}

// find returns the row of the strategy.
func find(t *testing.T, rows []printed, strategy string) printed {
	t.Helper()
	for _, r := range rows {
		if r.Strategy == strategy {
			return r
		}
	}
	require.Fail(t, "no such row", strategy)
	return printed{}
}

// without returns the rows that do not depend on the machine: without those whose name
// begins with prefix, those under pinexec and that of the sealed process.
func without(rows []printed, prefix string) []printed {
	var kept []printed
	for _, r := range rows {
		if !strings.HasPrefix(r.Strategy, prefix) && !strings.HasSuffix(r.Strategy, "under pinexec") &&
			!strings.HasPrefix(r.Strategy, "dscp.Seal") {
			kept = append(kept, r)
		}
	}
	return kept
}

// runText runs the program and returns what it printed.
func runText(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

// cancelledContext returns a context that is already cancelled.
func cancelledContext(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
