package long_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/internal/long"
)

func TestN(t *testing.T) {
	for value, want := range map[string]int{"": 3, "0": 3, "1": 1000} {
		t.Setenv(long.Variable, value)
		assert.Equal(t, want, long.N(3, 1000), "%q", value)
	}
}
