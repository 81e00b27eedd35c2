package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReplace(t *testing.T) {
	const document = "# Title\nby hand\n<!-- bench:dial -->\nold\n<!-- /bench:dial -->\nby hand, too\n<!-- bench:lab -->\nkept\n<!-- /bench:lab -->\n"
	got, err := replace([]byte(document), "dial", "new\n")
	require.NoError(t, err)
	assert.Equal(t, "# Title\nby hand\n<!-- bench:dial -->\nnew\n\n<!-- /bench:dial -->\nby hand, too\n<!-- bench:lab -->\nkept\n<!-- /bench:lab -->\n", string(got))
	again, err := replace(got, "dial", "new\n")
	require.NoError(t, err)
	assert.Equal(t, string(got), string(again))
	for _, bad := range []string{"", "<!-- bench:dial -->"} {
		_, err := replace([]byte(bad), "dial", "new\n")
		assert.ErrorContains(t, err, "the document has no")
	}
}
