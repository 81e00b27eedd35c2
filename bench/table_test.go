package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTable(t *testing.T) {
	tab := table{head: []string{"dial", "µs"}}
	tab.add("net.Dialer", "10")
	tab.add("a", "1000 µs")
	assert.Equal(t, `| dial       |      µs |
| ---------- | ------: |
| net.Dialer |      10 |
| a          | 1000 µs |
`, tab.String())
}
