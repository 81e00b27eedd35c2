package trial_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/internal/trial"
)

// outcome notes how a test ended.
type outcome struct {
	testing.TB
	skipped, failed bool
}

func (o *outcome) Helper()               {}
func (o *outcome) Skipf(string, ...any)  { o.skipped = true }
func (o *outcome) Fatalf(string, ...any) { o.failed = true }

func TestNeed(t *testing.T) {
	has := func() error { return nil }
	lacks := func() error { return errors.New("none here") }
	t.Setenv("CI", "")
	o := &outcome{TB: t}
	trial.Need(o, has, has)
	assert.Equal(t, outcome{TB: t}, *o)
	trial.Need(o, has, lacks)
	assert.Equal(t, outcome{TB: t, skipped: true}, *o)
	o = &outcome{TB: t}
	trial.Need(o, trial.Supported(nil), trial.Supported(errors.New("broken")))
	assert.Equal(t, outcome{TB: t}, *o)
	o = &outcome{TB: t}
	trial.Need(o, trial.Supported(fmt.Errorf("lacks: %w", errors.ErrUnsupported)))
	assert.True(t, o.skipped)
	t.Setenv("CI", "true")
	o = &outcome{TB: t}
	trial.Need(o, lacks)
	assert.True(t, o.failed)
}
