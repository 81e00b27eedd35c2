package sshconfig

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSplit has the words into which OpenSSH 9.2 and 10.6 split each value. A test
// of examples/sshclient compares whole configurations.
func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		"":                      nil,
		"  a\tb ":               {"a", "b"},
		`a "b c" d`:             {"a", "b c", "d"},
		`'a "b' "c 'd"`:         {`a "b`, `c 'd`},
		`a"b c"d'e f'`:          {"ab cde f"},
		`""`:                    {""},
		`a\ b \"c\' \\ \n "\ "`: {"a b", `"c'`, `\`, `\n`, `\ `},
		"a # b":                 {"a"},
		"a#b #c":                {"a#b"},
		`"# a" b`:               {"# a", "b"},
		`a\`:                    {`a\`},
	} {
		got, err := Split(text)
		require.NoError(t, err, "%q", text)
		assert.Equal(t, want, got, "%q", text)
	}
	for _, text := range []string{`"`, `a'`, `"a\"`, `'a"`} {
		_, err := Split(text)
		assert.Error(t, err, "%q", text)
	}
}

func TestParseLine(t *testing.T) {
	for line, want := range map[string]Setting{
		"Port 22":            {Key: "port", Words: []string{"22"}, Text: "22"},
		"Port=22":            {Key: "port", Words: []string{"22"}, Text: "22"},
		" Port = 22 \f\r\n":  {Key: "port", Words: []string{"22"}, Text: "22"},
		"User==me":           {Key: "user", Words: []string{"=me"}, Text: "=me"},
		`"Port" 22`:          {Key: "port", Words: []string{"22"}, Text: "22"},
		"ProxyCommand a # b": {Key: "proxycommand", Words: []string{"a"}, Text: "a # b"},
	} {
		got, ok, err := ParseLine(line, "")
		require.NoError(t, err, "%q", line)
		assert.True(t, ok, "%q", line)
		assert.Equal(t, want, got, "%q", line)
	}
	for _, line := range []string{"", "  \t\n", "# Port 22", "   #"} {
		_, ok, err := ParseLine(line, "")
		require.NoError(t, err, "%q", line)
		assert.False(t, ok, "%q", line)
	}
	for _, line := range []string{"Port", "Port=", `"Port 22`, `User "me`} {
		_, _, err := ParseLine(line, "here")
		assert.ErrorContains(t, err, "here: ", "%q", line)
	}
}

func TestMatchPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"*", "", true}, {"?", "", false}, {"a*c", "abbc", true}, {"a*c", "abcd", false},
		{"*.example.com", "www.example.com", true}, {"*.example.com", "example.com", false}, {"**a**b**", "xaxbx", true},
		{"web?", "web1", true}, {"web?", "web12", false}, {"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	} {
		assert.Equal(t, tt.want, MatchPattern(tt.pattern, tt.s), "%q in %q", tt.s, tt.pattern)
	}
	assert.True(t, MatchList("a,b*", "bc"))
	assert.False(t, MatchList("b*,!bc", "bc"))
	assert.False(t, MatchList("!a", "b"), "a negation alone matches nothing")
	assert.True(t, MatchHost("WWW.*", "www.Example"))
}

func TestExpandEnv(t *testing.T) {
	t.Setenv("GODSCP_A", "x")
	got, err := ExpandEnv("a${GODSCP_A}b${GODSCP_A}$GODSCP_A")
	require.NoError(t, err)
	assert.Equal(t, "axbx$GODSCP_A", got)
	for _, text := range []string{"${GODSCP_NO_SUCH_NAME}", "${GODSCP_A"} {
		_, err := ExpandEnv(text)
		assert.Error(t, err, text)
	}
}

// FuzzLine claims that Split returns the words of a line again from its Text.
func FuzzLine(f *testing.F) {
	f.Add(`ProxyCommand sh -c "a 'b' \" c" # d`)
	f.Add("IPQoS=af21 'cs1'")
	f.Fuzz(func(t *testing.T, line string) {
		s, ok, err := ParseLine(line, "")
		if err != nil || !ok {
			return
		}
		require.NotEmpty(t, s.Text)
		words, err := Split(s.Text)
		require.NoError(t, err)
		require.Equal(t, s.Words, words)
		for _, word := range s.Words {
			require.True(t, MatchPattern("*", word))
			require.LessOrEqual(t, len(word), len(s.Text))
		}
	})
}
