package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChecker(t *testing.T) {
	p, err := newPayload(1)
	require.NoError(t, err)
	defer p.remove()
	want := part{p, 100, 1000}
	for name, tt := range map[string]struct {
		got  []byte
		want error
	}{
		"all":     {want.octets(), nil},
		"nothing": {nil, io.ErrUnexpectedEOF},
		"short":   {want.octets()[:999], io.ErrUnexpectedEOF},
		"long":    {p.octets[100:1101], errWrong},
		"other":   {p.octets[101:1101], errWrong},
		"twice":   {append(bytes.Clone(want.octets()[:500]), want.octets()[:500]...), errWrong},
	} {
		t.Run(name, func(t *testing.T) {
			c := &checker{want: want}
			_, err := io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{bytes.NewReader(tt.got)}, make([]byte, 300))
			if err == nil {
				err = c.end()
			}
			assert.ErrorIs(t, err, tt.want)
		})
	}
}
