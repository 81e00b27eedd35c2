package dscp_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// TestParseIPQoSAsOpenSSH compares ParseIPQoS with the installed ssh.
func TestParseIPQoSAsOpenSSH(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("needs OpenSSH's client: %v", err)
	}
	version, err := exec.Command(ssh, "-V").CombinedOutput()
	require.NoError(t, err)
	t.Logf("%s", version)

	// effective returns the octets that "ssh -G" prints for value.
	effective := func(value string) (octets []uint8, err error) {
		out, err := exec.Command(ssh, "-F", "none", "-G", "-o", "IPQoS="+value, "localhost").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			if len(words) != 3 || words[0] != "ipqos" {
				continue
			}
			for _, word := range words[1:] {
				q, err := dscp.ParseIPQoS(word)
				if err != nil {
					return nil, err
				}
				octets = append(octets, q.Interactive.TOS())
			}
		}
		return octets, nil
	}
	agree := func(t *testing.T, value string) {
		t.Helper()
		q, err := dscp.ParseIPQoS(value)
		require.NoError(t, err)
		theirs, err := effective(value)
		if assert.NoError(t, err, value) {
			assert.Equal(t, []uint8{q.Interactive.TOS(), q.Bulk.TOS()}, theirs, value)
		}
	}

	t.Run("words", func(t *testing.T) {
		for _, word := range append(ipqosWordsOf57, "none", "AF21", "Ef") {
			agree(t, word)
			agree(t, "cs6 "+word)
		}
	})
	t.Run("octets", func(t *testing.T) {
		for n := 0; n < 256; n += 4 {
			agree(t, strconv.Itoa(n))
		}
	})
	t.Run("output of String", func(t *testing.T) {
		for cp := range dscp.CodePoint(64) {
			agree(t, dscp.IPQoS{Interactive: cp, Bulk: 63 - cp}.String())
		}
	})
	t.Run("refused by both", func(t *testing.T) {
		for _, value := range []string{"", "af44", "cs8", "df", "mincost", "voice-admit", "256", "af21 cs1 ef", "af21,cs1", "-4", "48h", "0x"} {
			_, err := dscp.ParseIPQoS(value)
			assert.Error(t, err, value)
			_, err = effective(value)
			assert.Error(t, err, value)
		}
	})
}
