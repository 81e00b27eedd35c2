package testns

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBrief(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ out, want string }{
		"empty":  {},
		"passed": {out: "=== RUN   TestA\n=== RUN   TestA/b\n=== PAUSE TestA/b\n=== CONT  TestA/b\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/b (0.00s)\nPASS\n", want: "PASS\n"},
		"failed": {
			out: "=== RUN   TestA\n=== RUN   TestA/b\n=== PAUSE TestA/b\n=== RUN   TestA/c\n=== PAUSE TestA/c\n" +
				"=== CONT  TestA/b\n=== CONT  TestA/c\n    a_test.go:1: it is\n        broken\n=== NAME  TestA/b\n    a_test.go:2: well\n" +
				"--- FAIL: TestA (0.00s)\n    --- PASS: TestA/b (0.00s)\n    --- FAIL: TestA/c (0.00s)\nFAIL\n",
			want: "=== CONT  TestA/c\n    a_test.go:1: it is\n        broken\n=== NAME  TestA/b\n    a_test.go:2: well\n" +
				"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/c (0.00s)\nFAIL\n",
		},
		"died": {out: "=== RUN   TestA\npanic: without a newline", want: "=== RUN   TestA\npanic: without a newline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, brief(tt.out))
		})
	}
}
