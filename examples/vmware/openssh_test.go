package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseVersion(t *testing.T) {
	for said, want := range map[string][2]int{
		"OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026\n": {9, 2},
		"OpenSSH_7.8p1, LibreSSL 2.7.3\n":                               {7, 8},
		"OpenSSH_10.1, LibreSSL 4.2.0":                                  {10, 1},
		"OpenSSH_for_Windows_9.5p1, LibreSSL 3.8.2":                     {9, 5},
	} {
		major, minor, ok := parseVersion(said)
		assert.True(t, ok, said)
		assert.Equal(t, want, [2]int{major, minor}, said)
	}
	for _, said := range []string{"", "Dropbear v2022.83", "OpenSSH_x.1"} {
		_, _, ok := parseVersion(said)
		assert.False(t, ok, said)
	}
}

func TestExpect(t *testing.T) {
	for _, c := range []struct {
		major, minor int
		tty, exec    outcome
	}{
		{7, 4, broken, broken},
		{7, 8, broken, broken},
		{8, 4, broken, broken},
		{8, 5, works, broken},
		{9, 9, works, broken},
		{10, 0, works, broken},
		{10, 1, anything, anything},
		{10, 3, anything, anything},
		{10, 4, works, broken},
		{11, 0, works, broken},
	} {
		o := &openSSH{major: c.major, minor: c.minor}
		assert.Equal(t, c.tty, session{ssh: o, ipqos: "af21 cs1", tty: true}.expect(), "%d.%d tty", c.major, c.minor)
		assert.Equal(t, c.exec, session{ssh: o, ipqos: "af21 cs1"}.expect(), "%d.%d exec", c.major, c.minor)
		assert.Equal(t, works, session{ssh: o, ipqos: "16 8", tty: true}.expect(), "%d.%d tty", c.major, c.minor)
		assert.Equal(t, works, session{ssh: o, ipqos: "16 8"}.expect(), "%d.%d exec", c.major, c.minor)
	}
}

// The ssh of this machine, whatever it is.
func TestRealSSH(t *testing.T) {
	needBox(t)
	if err := exec.Command("ssh", "-V").Run(); err != nil {
		skip(t, "ssh does not run here: ", err)
	}
	for family, args := range families(t) {
		t.Run(family, func(t *testing.T) {
			rows, status, stderr := runJSON(t, args...)
			assert.Zero(t, status, stderr)
			tried := 0
			for _, r := range rows {
				if !strings.HasPrefix(r.Strategy, "ssh ") {
					continue
				}
				tried++
				assert.True(t, r.OK, r)
				switch {
				case r.Outcome == "skipped":
					t.Log(r.Program)
				case strings.Contains(r.Strategy, "16 8"):
					assert.Equal(t, "works", r.Outcome, r)
					assert.Contains(t, []string{"lowdelay", "throughput"}, r.After, r)
				case r.Outcome == "broken":
					assert.Contains(t, r.Box, "reset", r)
					assert.Regexp(t, `Broken pipe|Connection reset|closed by remote host`, r.Program)
				}
			}
			assert.Equal(t, 4, tried)
		})
	}
}

// An ssh that cannot be used never fails the run.
func TestSSHSkipped(t *testing.T) {
	needBox(t)
	for _, c := range []struct{ name, script, tmp, reason string }{
		{"absent", "", "", "executable file not found"},
		{"no passwd entry", `echo "No user exists for uid 4711" >&2; exit 255`, "", "No user exists for uid 4711 (exit status 255)"},
		{"another ssh", `echo "Dropbear v2022.83" >&2`, "", "not OpenSSH: Dropbear v2022.83"},
		{"no login", `test "$1" = -V && { echo OpenSSH_9.2p1 >&2; exit; }; echo "no mutual signature" >&2; exit 255`, "",
			"never logged in: no mutual signature (exit status 255)"},
		{"nowhere for the keys", "echo OpenSSH_9.2p1", "/nonexistent", "/nonexistent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin := t.TempDir()
			if c.script != "" {
				fakeSSH(t, bin, c.script)
			}
			t.Setenv("PATH", bin)
			if c.tmp != "" {
				t.Setenv("TMPDIR", c.tmp)
			}
			rows, status, stderr := runJSON(t, "-4")
			assert.Zero(t, status, stderr)
			require.Len(t, rows, len(wantRows)+4)
			for _, r := range rows {
				if strings.HasPrefix(r.Strategy, "ssh") {
					assert.Equal(t, "skipped", r.Outcome)
					assert.Contains(t, r.Program, c.reason)
					assert.True(t, r.OK)
				}
			}
		})
	}
}
