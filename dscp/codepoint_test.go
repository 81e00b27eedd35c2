package dscp_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// registry is IANA's "Differentiated Services Field Codepoints", pools 1 and 3,
// with the octets as OpenSSH and RFC 9435 list them.
var registry = []struct {
	name  string
	cp    dscp.CodePoint
	value uint8
	octet uint8
}{
	{"DF", dscp.DF, 0, 0x00},
	{"CS1", dscp.CS1, 8, 0x20},
	{"CS2", dscp.CS2, 16, 0x40},
	{"CS3", dscp.CS3, 24, 0x60},
	{"CS4", dscp.CS4, 32, 0x80},
	{"CS5", dscp.CS5, 40, 0xa0},
	{"CS6", dscp.CS6, 48, 0xc0},
	{"CS7", dscp.CS7, 56, 0xe0},
	{"AF11", dscp.AF11, 10, 0x28},
	{"AF12", dscp.AF12, 12, 0x30},
	{"AF13", dscp.AF13, 14, 0x38},
	{"AF21", dscp.AF21, 18, 0x48},
	{"AF22", dscp.AF22, 20, 0x50},
	{"AF23", dscp.AF23, 22, 0x58},
	{"AF31", dscp.AF31, 26, 0x68},
	{"AF32", dscp.AF32, 28, 0x70},
	{"AF33", dscp.AF33, 30, 0x78},
	{"AF41", dscp.AF41, 34, 0x88},
	{"AF42", dscp.AF42, 36, 0x90},
	{"AF43", dscp.AF43, 38, 0x98},
	{"EF", dscp.EF, 46, 0xb8},
	{"VOICE-ADMIT", dscp.VoiceAdmit, 44, 0xb0},
	{"LE", dscp.LE, 1, 0x04},
	{"NQB", dscp.NQB, 45, 0xb4},
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	assert.Len(t, registry, 24)
	for _, r := range registry {
		t.Run(r.name, func(t *testing.T) {
			assert.EqualValues(t, r.value, r.cp)
			assert.Equal(t, r.octet, r.cp.TOS())
			assert.Equal(t, r.cp, dscp.FromTOS(r.octet))
			assert.Equal(t, r.cp, dscp.FromTOS(r.octet|3), "ECN bits are ignored")
			assert.Equal(t, r.octet>>5, r.cp.Precedence())
			assert.Equal(t, r.name, r.cp.String())
		})
	}
	assert.EqualValues(t, 0, dscp.CS0)
}

func TestLegacyValues(t *testing.T) {
	t.Parallel()
	assert.EqualValues(t, 0x10, dscp.LowDelay.TOS())
	assert.EqualValues(t, 0x08, dscp.Throughput.TOS())
	assert.EqualValues(t, 0x04, dscp.Reliability.TOS())
	assert.Equal(t, "lowdelay", dscp.LowDelay.String())
	assert.Equal(t, "throughput", dscp.Throughput.String())
	assert.Equal(t, "LE", dscp.Reliability.String(), "the registry assigns 1 to LE")
}

func TestEveryCodePointSurvivesText(t *testing.T) {
	t.Parallel()
	for cp := range dscp.CodePoint(64) {
		text, err := cp.MarshalText()
		require.NoError(t, err)
		for _, s := range []string{
			string(text), strings.ToLower(string(text)), strings.ToUpper(string(text)),
			strconv.Itoa(int(cp)), "0x" + strconv.FormatUint(uint64(cp), 16), "0X0" + strconv.FormatUint(uint64(cp), 16),
		} {
			got, err := dscp.Parse(s)
			require.NoError(t, err, s)
			assert.Equal(t, cp, got, s)
		}
		assert.Equal(t, cp, dscp.FromTOS(cp.TOS()))
	}
}

func TestParseNames(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]dscp.CodePoint{
		"cs0": dscp.CS0, "va": dscp.VoiceAdmit, "VoiceAdmit": dscp.VoiceAdmit, "voice-admit": dscp.VoiceAdmit,
		"Lowdelay": dscp.LowDelay, "THROUGHPUT": dscp.Throughput, "reliability": dscp.Reliability,
	} {
		got, err := dscp.Parse(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, got, s)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text    string
		is      error
		mention string
	}{
		{"", dscp.ErrSyntax, `""`},
		{" ", dscp.ErrSyntax, ""},
		{" AF21", dscp.ErrSyntax, `" AF21"`},
		{"AF21 CS1", dscp.ErrSyntax, ""},
		{"AF24", dscp.ErrSyntax, "AF24"},
		{"CS8", dscp.ErrSyntax, ""},
		{"cſ1", dscp.ErrSyntax, "cſ1"},
		{"best effort", dscp.ErrSyntax, ""},
		{"-1", dscp.ErrSyntax, ""},
		{"+18", dscp.ErrSyntax, ""},
		{"111111111111111111111\r", dscp.ErrSyntax, `\r`},
		{"0xfffffffffffffffffffg", dscp.ErrSyntax, ""},
		{"1_8", dscp.ErrSyntax, ""},
		{"018", dscp.ErrSyntax, "018"},
		{"0b10", dscp.ErrSyntax, ""},
		{"0x", dscp.ErrSyntax, ""},
		{"0xzz", dscp.ErrSyntax, ""},
		{"0x-1", dscp.ErrSyntax, ""},
		{"1e1", dscp.ErrSyntax, ""},
		{"18\x00", dscp.ErrSyntax, ""},
		{"64", dscp.ErrRange, "CS2 (16)"},
		{"0x48", dscp.ErrRange, "as a TOS octet it is AF21 (18), see FromTOS"},
		{"184", dscp.ErrRange, "as a TOS octet it is EF (46), see FromTOS"},
		{"256", dscp.ErrRange, "0-63"},
		{"0x100", dscp.ErrRange, "0-63"},
		{"99999999999999999999", dscp.ErrRange, "99999999999999999999"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			_, err := dscp.Parse(tt.text)
			require.ErrorIs(t, err, tt.is)
			assert.ErrorContains(t, err, tt.mention)

			kept := dscp.EF
			require.ErrorIs(t, kept.UnmarshalText([]byte(tt.text)), tt.is)
			assert.Equal(t, dscp.EF, kept, "bad input leaves the value alone")
		})
	}
}

// TestParseTOS reads every octet, in decimal and hexadecimal, and every name.
func TestParseTOS(t *testing.T) {
	t.Parallel()
	for octet := range 256 {
		for _, s := range []string{strconv.Itoa(octet), fmt.Sprintf("0x%02x", octet), fmt.Sprintf("0X%X", octet)} {
			cp, err := dscp.ParseTOS(s)
			if octet&3 != 0 {
				require.ErrorIs(t, err, dscp.ErrSyntax, s)
				require.ErrorContains(t, err, "ECN", s)
				require.Zero(t, cp)
				continue
			}
			require.NoError(t, err, s)
			require.Equal(t, dscp.FromTOS(uint8(octet)), cp, s)
		}
	}
	for s, want := range map[string]dscp.CodePoint{
		"af21": dscp.AF21, "VOICE-ADMIT": dscp.VoiceAdmit, "va": dscp.VoiceAdmit, "cs0": dscp.DF, "DF": dscp.DF,
		"lowdelay": dscp.LowDelay, "throughput": dscp.Throughput, "reliability": dscp.Reliability, "LE": dscp.LE,
	} {
		cp, err := dscp.ParseTOS(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, cp, s)
		same, err := dscp.Parse(s)
		require.NoError(t, err, s)
		assert.Equal(t, same, cp, "Parse and ParseTOS agree on names")
	}
	for _, tt := range []struct {
		text    string
		is      error
		mention string
	}{
		{"", dscp.ErrSyntax, "TOS octet from 0 to 255"},
		{" 72", dscp.ErrSyntax, ""},
		{"072", dscp.ErrSyntax, "072"},
		{"00", dscp.ErrSyntax, ""},
		{"-8", dscp.ErrSyntax, ""},
		{"+72", dscp.ErrSyntax, ""},
		{"0x", dscp.ErrSyntax, ""},
		{"0x4g", dscp.ErrSyntax, ""},
		{"af24", dscp.ErrSyntax, "af24"},
		{"none", dscp.ErrSyntax, ""},
		{"af21 cs1", dscp.ErrSyntax, ""},
		{"72\r", dscp.ErrSyntax, `\r`},
		{"18", dscp.ErrSyntax, "that of the DSCP 18 (AF21) is 72"},
		{"256", dscp.ErrRange, "0-255"},
		{"0x100", dscp.ErrRange, "0-255"},
		{"99999999999999999999", dscp.ErrRange, ""},
	} {
		cp, err := dscp.ParseTOS(tt.text)
		require.ErrorIs(t, err, tt.is, tt.text)
		require.ErrorContains(t, err, tt.mention, tt.text)
		assert.Zero(t, cp)
	}
}

func TestAboveRange(t *testing.T) {
	t.Parallel()
	for _, cp := range []dscp.CodePoint{64, 72, 255} {
		assert.Equal(t, "CodePoint("+strconv.Itoa(int(cp))+")", cp.String())
		_, err := cp.MarshalText()
		require.ErrorIs(t, err, dscp.ErrRange)
		_, err = json.Marshal(cp)
		require.ErrorIs(t, err, dscp.ErrRange)
		assert.Equal(t, cp, cp.NATSafe(), "unchanged, so that its use fails")
	}
}

func TestTextInFlagAndJSON(t *testing.T) {
	t.Parallel()
	t.Run("flag", func(t *testing.T) {
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		var cp dscp.CodePoint
		fs.TextVar(&cp, "dscp", dscp.AF21, "mark")
		require.NoError(t, fs.Parse(nil))
		assert.Equal(t, dscp.AF21, cp)
		require.NoError(t, fs.Parse([]string{"-dscp", "ef"}))
		assert.Equal(t, dscp.EF, cp)
		require.ErrorContains(t, fs.Parse([]string{"-dscp", "0x48"}), "TOS octet")
	})
	type config struct {
		DSCP dscp.CodePoint            `json:"dscp"`
		By   map[dscp.CodePoint]string `json:"by"`
	}
	want := config{DSCP: dscp.LowDelay, By: map[dscp.CodePoint]string{dscp.CS1: "bulk"}}
	t.Run("json", func(t *testing.T) {
		b, err := json.Marshal(want)
		require.NoError(t, err)
		assert.JSONEq(t, `{"dscp":"lowdelay","by":{"CS1":"bulk"}}`, string(b))
		var got config
		require.NoError(t, json.Unmarshal(b, &got))
		assert.Equal(t, want, got)
	})
}

func TestNATSafe(t *testing.T) {
	t.Parallel()
	want := map[dscp.CodePoint]dscp.CodePoint{
		dscp.DF: dscp.DF, dscp.LE: dscp.Throughput, dscp.CS1: dscp.Throughput,
		dscp.AF11: dscp.Throughput, dscp.AF12: dscp.Throughput, dscp.AF13: dscp.Throughput,
		2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7,
	}
	for cp := range dscp.CodePoint(64) {
		w, ok := want[cp]
		if !ok {
			w = dscp.LowDelay
		}
		got := cp.NATSafe()
		assert.Equal(t, w, got, "%v", cp)
		assert.Zero(t, got.Precedence(), "%v", cp)
		assert.Equal(t, got, got.NATSafe(), "%v: applied twice", cp)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"AF21", "ef", "18", "0x12", "0x48", "018", "", "VOICE-ADMIT", "ſ1", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cp, err := dscp.Parse(s)
		if err != nil {
			require.Zero(t, cp)
			require.True(t, errors.Is(err, dscp.ErrSyntax) != errors.Is(err, dscp.ErrRange), "either ErrSyntax or ErrRange: %v", err)
			return
		}
		require.LessOrEqual(t, cp, dscp.CodePoint(63))
		again, err := dscp.Parse(cp.String())
		require.NoError(t, err)
		require.Equal(t, cp, again)
	})
}
