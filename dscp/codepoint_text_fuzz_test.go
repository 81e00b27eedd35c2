package dscp_test

import (
	"encoding/json"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
)

// FuzzUnmarshal unmarshals a CodePoint and an IPQoS from JSON and from text. An error
// leaves the value unchanged. A success equals the parser's result, survives a round
// trip through the marshaller, and is a valid code point.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{
		`{"cp":"AF21","q":"af21 cs1"}`, `{"cp":"0x12","q":"72"}`, `{"cp":18}`, `{"q":18}`, `{"cp":null,"q":null}`,
		"\x1b[31m", "0x\x1b", "af21 \u202e",
		`{"cp":"0x48"}`, `{"q":"0x49"}`, `{"cp":"ef"}`, `{"CP":"lowdelay","Q":"none"}`, `{"cp":"va","cp":"bad"}`,
	} {
		f.Add([]byte(s))
	}
	type both struct {
		CP dscp.CodePoint `json:"cp"`
		Q  dscp.IPQoS     `json:"q"`
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := both{dscp.NQB, dscp.OpenSSH78}
		if json.Unmarshal(data, &v) == nil {
			text, err := json.Marshal(v)
			require.NoError(t, err)
			var back both
			require.NoError(t, json.Unmarshal(text, &back))
			require.Equal(t, v, back)
		}
		require.True(t, v.CP <= 63 && v.Q.Interactive <= 63 && v.Q.Bulk <= 63, "%v", v)

		cp, want := dscp.EF, dscp.EF
		parsed, wantErr := dscp.Parse(string(data))
		if wantErr == nil {
			want = parsed
		}
		requirePlain(t, wantErr)
		require.Equal(t, wantErr, cp.UnmarshalText(data))
		require.Equal(t, want, cp)
		text, err := cp.AppendText([]byte("x"))
		require.NoError(t, err)
		require.Equal(t, "x"+cp.String(), string(text))

		q, wantQ := dscp.OpenSSH101, dscp.OpenSSH101
		parsedQ, wantErr := dscp.ParseIPQoS(string(data))
		if wantErr == nil {
			wantQ = parsedQ
		}
		requirePlain(t, wantErr)
		require.Equal(t, wantErr, q.UnmarshalText(data))
		require.Equal(t, wantQ, q)
	})
}

// requirePlain checks that an error which quotes input has no character that a terminal
// interprets.
func requirePlain(t *testing.T, err error) {
	if err == nil {
		return
	}
	for _, r := range err.Error() {
		require.True(t, unicode.IsPrint(r), "%U in %q", r, err)
	}
}
