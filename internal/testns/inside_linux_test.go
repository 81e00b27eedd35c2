package testns_test

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/internal/testns"
)

func namespace(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/thread-self/ns/net")
	require.NoError(t, err)
	return name
}

func TestInside(t *testing.T) {
	const outer = "GODSCP_TESTNS_OUTER"
	if os.Getenv(outer) == "" {
		t.Setenv(outer, namespace(t))
	}
	if !testns.Inside(t) {
		return
	}
	assert.NotEqual(t, os.Getenv(outer), namespace(t))
	assert.Zero(t, os.Geteuid())

	interfaces, err := net.Interfaces()
	require.NoError(t, err)
	require.Len(t, interfaces, 1, "a new namespace has only lo")
	addresses, err := interfaces[0].Addrs()
	require.NoError(t, err)
	assert.Equal(t, "[127.0.0.1/8 ::1/128]", "["+addresses[0].String()+" "+addresses[1].String()+"]")

	testns.Current(t).Sysctl("net.ipv4.tcp_reflect_tos", "1")
	got, err := os.ReadFile("/proc/sys/net/ipv4/tcp_reflect_tos")
	require.NoError(t, err)
	assert.Equal(t, "1\n", string(got))
}

// TestEnds is the child of TestOutcome. It ends as the environment variable says.
func TestEnds(t *testing.T) {
	ends := os.Getenv("GODSCP_TESTNS_ENDS")
	if ends == "" {
		t.Skip("run by TestOutcome")
	}
	if ends == "lacks" {
		t.Setenv("PATH", "")
		testns.Require(t, "ip")
	}
	if !testns.Inside(t) {
		return
	}
	switch ends {
	case "fail":
		t.Error("the child failed")
	case "skip":
		t.Skip("the child skipped")
	case "panic":
		panic("the child panicked")
	case "exit":
		os.Exit(0)
	case "hang":
		select {}
	}
}

func TestOutcome(t *testing.T) {
	if os.Getenv("GODSCP_TESTNS_ENDS") != "" {
		t.Skip("within TestOutcome")
	}
	t.Parallel()
	for _, tt := range []struct {
		ends, ci string
		want     []string
		fails    bool
	}{
		{ends: "pass", want: []string{"--- PASS: TestEnds"}},
		{ends: "fail", want: []string{"--- FAIL: TestEnds", "the child failed"}, fails: true},
		{ends: "skip", want: []string{"--- SKIP: TestEnds", "the child skipped"}},
		{ends: "panic", want: []string{"--- FAIL: TestEnds", "the child panicked"}, fails: true},
		{ends: "exit", want: []string{"--- FAIL: TestEnds"}, fails: true},
		{ends: "hang", want: []string{"--- FAIL: TestEnds", "test timed out"}, fails: true},
		{ends: "lacks", want: []string{"--- SKIP: TestEnds", "ip is not installed"}},
		{ends: "lacks", ci: "true", want: []string{"--- FAIL: TestEnds", "ip is not installed"}, fails: true},
	} {
		t.Run(tt.ends+tt.ci, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			require.NoError(t, err)
			timeout := time.Minute
			if tt.ends == "hang" {
				timeout = 30 * time.Second // the child times out after 80 % of it
			}
			cmd := exec.Command(self, "-test.run=^TestEnds$", "-test.v", "-test.timeout="+timeout.String())
			cmd.Env = append(os.Environ(), "GODSCP_TESTNS_ENDS="+tt.ends, "CI="+tt.ci)
			out, err := cmd.CombinedOutput()
			assert.Equal(t, tt.fails, err != nil, "%v\n%s", err, out)
			for _, want := range tt.want {
				assert.Contains(t, string(out), want)
			}
			// The child and the parent both print the outcome.
			if tt.ends == "fail" {
				assert.Equal(t, 2, strings.Count(string(out), tt.want[0]), "%s", out)
			}
		})
	}
}

func TestConnect(t *testing.T) {
	if !testns.Inside(t) {
		return
	}
	a, b := testns.New(t), testns.New(t)
	testns.Connect(
		testns.End{Net: a, Name: "va", Addresses: prefixes("192.0.2.1/24", "2001:db8::1/64")},
		testns.End{Net: b, Name: "vb", Addresses: prefixes("192.0.2.2/24", "2001:db8::2/64")},
	)
	for _, address := range []string{"192.0.2.2:0", "[2001:db8::2]:0"} {
		var l net.Listener
		b.Do(func() {
			var err error
			l, err = net.Listen("tcp", address)
			require.NoError(t, err)
		})
		_, err := net.DialTimeout("tcp", l.Addr().String(), 50*time.Millisecond)
		assert.Error(t, err, "no route from the test's own namespace")
		a.Do(func() {
			c, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			assert.NoError(t, c.Close())
		})
		assert.NoError(t, l.Close())
	}
	assert.Contains(t, a.Run("ip", "link"), "va@")
	assert.Equal(t, "word", a.Input("word", "cat"))
}

func prefixes(ss ...string) []netip.Prefix {
	var pp []netip.Prefix
	for _, s := range ss {
		pp = append(pp, netip.MustParsePrefix(s))
	}
	return pp
}
