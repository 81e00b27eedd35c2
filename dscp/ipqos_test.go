package dscp_test

import (
	"encoding/json"
	"flag"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

func TestParseIPQoS(t *testing.T) {
	tests := []struct {
		text string
		want dscp.IPQoS
	}{
		{"af21 cs1", dscp.IPQoS{Interactive: dscp.AF21, Bulk: dscp.CS1}},
		{"AF21\tCs1", dscp.IPQoS{Interactive: dscp.AF21, Bulk: dscp.CS1}},
		{"  af21  \t cs1 \r\n", dscp.IPQoS{Interactive: dscp.AF21, Bulk: dscp.CS1}},
		{"af42", dscp.IPQoS{Interactive: dscp.AF42, Bulk: dscp.AF42}},
		{"ef none", dscp.IPQoS{Interactive: dscp.EF}},
		{"NONE", dscp.IPQoS{}},
		{"cs0", dscp.IPQoS{}},
		{"0", dscp.IPQoS{}},
		{"0x0 0X00", dscp.IPQoS{}},
		{"lowdelay throughput", dscp.IPQoS{Interactive: dscp.LowDelay, Bulk: dscp.Throughput}},
		{"reliability", dscp.IPQoS{Interactive: dscp.Reliability, Bulk: dscp.LE}},
		{"va le", dscp.IPQoS{Interactive: dscp.VoiceAdmit, Bulk: dscp.LE}},
		{"nqb", dscp.IPQoS{Interactive: dscp.NQB, Bulk: dscp.NQB}},
		{"16 8", dscp.IPQoS{Interactive: dscp.LowDelay, Bulk: dscp.Throughput}},
		{"0x48 0x20", dscp.IPQoS{Interactive: dscp.AF21, Bulk: dscp.CS1}},
		{"0XB8 252", dscp.IPQoS{Interactive: dscp.EF, Bulk: 63}},
		{"0x0048", dscp.IPQoS{Interactive: dscp.AF21, Bulk: dscp.AF21}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := dscp.ParseIPQoS(tt.text)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestParseIPQoSErrors(t *testing.T) {
	tests := []struct {
		text    string
		is      error
		mention string
	}{
		{"", dscp.ErrSyntax, `"" has 0 words`},
		{" \t ", dscp.ErrSyntax, `has 0 words`},
		{"af21 cs1 ef", dscp.ErrSyntax, `has 3 words`},
		{"af21,cs1", dscp.ErrSyntax, `"af21,cs1"`},
		{"111111111111111111111x", dscp.ErrSyntax, ""},
		{"af21\u00a0cs1", dscp.ErrSyntax, "not a code point"}, // Unicode white space, but not ASCII
		{"af44", dscp.ErrSyntax, `"af44" (want a word such as af21 or none, or an octet from 0 to 255)`},
		{"cs8", dscp.ErrSyntax, `"cs8"`},
		{"c\u017f1", dscp.ErrSyntax, "not a code point"}, // a long s, whose capital is S
		{"df", dscp.ErrSyntax, `"df"`},
		{"voice-admit", dscp.ErrSyntax, `"voice-admit"`},
		{"mincost", dscp.ErrSyntax, `"mincost"`},
		{"cs1 bogus", dscp.ErrSyntax, `"bogus"`},
		{`"af21"`, dscp.ErrSyntax, "not a code point"},
		{"0x", dscp.ErrSyntax, `"0x"`},
		{"0xg0", dscp.ErrSyntax, `"0xg0"`},
		{"48h", dscp.ErrSyntax, `"48h"`},
		{"+16", dscp.ErrSyntax, `"+16"`},
		{"-4", dscp.ErrSyntax, `"-4"`},
		{"1_6", dscp.ErrSyntax, `"1_6"`},
		{"256", dscp.ErrRange, "256 is not in 0-255"},
		{"0x100", dscp.ErrRange, "0x100 is not in 0-255"},
		{"99999999999999999999", dscp.ErrRange, "not in 0-255"},
		{"020", dscp.ErrSyntax, `"020" has a leading zero: it is 16 to OpenSSH up to 9.7 and 20 since 9.8`},
		{"af21 010", dscp.ErrSyntax, "it is 8 to OpenSSH up to 9.7 and 10 since 9.8"},
		{"08", dscp.ErrSyntax, "it is nothing to OpenSSH up to 9.7 and 8 since 9.8"},
		{"00", dscp.ErrSyntax, "it is 0 to OpenSSH up to 9.7 and 0 since 9.8"},
		{"0400", dscp.ErrSyntax, "it is 256 to OpenSSH up to 9.7 and 400 since 9.8"},
		{"0x49", dscp.ErrSyntax, "0x49 sets ECN bits (the low two must be zero): AF21 is 72"},
		{"187", dscp.ErrSyntax, "187 sets ECN bits (the low two must be zero): EF is 184"},
		{"18 8", dscp.ErrSyntax, "that of the DSCP 18 (AF21) is 72"},
		{"255", dscp.ErrSyntax, "63 is 252"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := dscp.ParseIPQoS(tt.text)
			require.ErrorIs(t, err, tt.is)
			assert.ErrorContains(t, err, tt.mention)
			assert.ErrorContains(t, err, "dscp: IPQoS: ")
			assert.Zero(t, got)
		})
	}
}

func TestIPQoSString(t *testing.T) {
	tests := []struct {
		q    dscp.IPQoS
		want string
	}{
		{dscp.IPQoS{}, "cs0 cs0"},
		{dscp.OpenSSH77, "16 8"},
		{dscp.OpenSSH78, "af21 cs1"},
		{dscp.OpenSSH101, "ef cs0"},
		{dscp.IPQoS{Interactive: dscp.AF21, Bulk: dscp.AF21}, "af21 af21"},
		{dscp.IPQoS{Interactive: dscp.VoiceAdmit, Bulk: dscp.LE}, "176 4"},
		{dscp.IPQoS{Interactive: dscp.NQB, Bulk: 63}, "180 252"},
		{dscp.IPQoS{Interactive: 72, Bulk: dscp.CS1}, "CodePoint(72) cs1"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, tt.q.String())
	}
}

// ipqosWordsOf57 are the words that every OpenSSH accepts since 5.7, the first version with
// the option.
var ipqosWordsOf57 = strings.Fields("af11 af12 af13 af21 af22 af23 af31 af32 af33 af41 af42 af43 " +
	"cs0 cs1 cs2 cs3 cs4 cs5 cs6 cs7 ef")

func TestIPQoSStringIsForEveryOpenSSH(t *testing.T) {
	for cp := range dscp.CodePoint(64) {
		q := dscp.IPQoS{Interactive: cp, Bulk: 63 - cp}
		for word := range strings.FieldsSeq(q.String()) {
			if n, err := strconv.ParseUint(word, 10, 8); err == nil {
				assert.Equal(t, strconv.FormatUint(n, 10), word, "decimal, as every version reads it")
				continue
			}
			assert.Contains(t, ipqosWordsOf57, word)
		}
		back, err := dscp.ParseIPQoS(q.String())
		require.NoError(t, err)
		assert.Equal(t, q, back)
	}
}

func TestIPQoSText(t *testing.T) {
	t.Run("flag", func(t *testing.T) {
		var q dscp.IPQoS
		fs := flag.NewFlagSet("ssh", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		fs.TextVar(&q, "ipqos", dscp.OpenSSH78, "marks")
		assert.Equal(t, dscp.OpenSSH78, q)
		require.NoError(t, fs.Parse([]string{"-ipqos", "ef"}))
		assert.Equal(t, dscp.IPQoS{Interactive: dscp.EF, Bulk: dscp.EF}, q)
		assert.ErrorContains(t, fs.Parse([]string{"-ipqos", "020"}), "20 since 9.8")
		assert.Equal(t, dscp.IPQoS{Interactive: dscp.EF, Bulk: dscp.EF}, q, "an error keeps the value")
	})
	t.Run("json", func(t *testing.T) {
		text, err := json.Marshal(dscp.OpenSSH78)
		require.NoError(t, err)
		assert.JSONEq(t, `"af21 cs1"`, string(text))
		var q dscp.IPQoS
		require.NoError(t, json.Unmarshal(text, &q))
		assert.Equal(t, dscp.OpenSSH78, q)
	})
	t.Run("out of range", func(t *testing.T) {
		_, err := dscp.IPQoS{Interactive: dscp.EF, Bulk: 72}.MarshalText()
		require.ErrorIs(t, err, dscp.ErrRange)
		assert.ErrorContains(t, err, "AF21")
		_, err = dscp.IPQoS{Interactive: 64}.MarshalText()
		assert.ErrorIs(t, err, dscp.ErrRange)
	})
}

func FuzzParseIPQoS(f *testing.F) {
	for _, s := range []string{
		"af21 cs1", "none", "LE va", "0x48", "020", "16 8", "0x49", "256", "", "a b c", "lowdelay throughput", "nqb\t0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := dscp.ParseIPQoS(s)
		if err != nil {
			if q != (dscp.IPQoS{}) {
				t.Errorf("%q: %v and the error %v", s, q, err)
			}
			return
		}
		if q.Interactive > 63 || q.Bulk > 63 {
			t.Fatalf("%q: %#v", s, q)
		}
		text, err := q.MarshalText()
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		var back dscp.IPQoS
		if err := back.UnmarshalText(text); err != nil || back != q {
			t.Fatalf("%q became %v, then %q, then %v, %v", s, q, text, back, err)
		}
	})
}
