package cli

import (
	"bytes"
	"errors"
	"flag"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	parse := func(args ...string) (n int, said string, err error) {
		var stderr bytes.Buffer
		fs := flag.NewFlagSet("prog", flag.ContinueOnError)
		fs.IntVar(&n, "n", 1, "a `number`")
		err = Parse(fs, "usage: prog [-n number]\n", args, &stderr)
		return n, stderr.String(), err
	}
	n, said, err := parse("-n", "7", "rest")
	assert.NoError(t, err)
	assert.Equal(t, 7, n)
	assert.Empty(t, said)

	_, said, err = parse("-x")
	assert.Error(t, err)
	assert.Equal(t, "prog: flag provided but not defined: -x\nTry \"prog -h\".\n", said)
	_, said, err = parse("-n", "many")
	assert.Error(t, err)
	assert.Equal(t, "prog: invalid value \"many\" for flag -n: parse error\nTry \"prog -h\".\n", said)

	_, said, err = parse("-h")
	assert.ErrorIs(t, err, flag.ErrHelp)
	assert.Equal(t, "usage: prog [-n number]\n  -n number\n    \ta number (default 1)\n", said)
}

func TestRefuse(t *testing.T) {
	var stderr bytes.Buffer
	wrong := errors.New("want a host")
	assert.Equal(t, wrong, Refuse(flag.NewFlagSet("prog", flag.ContinueOnError), &stderr, wrong))
	assert.Equal(t, "prog: want a host\nTry \"prog -h\".\n", stderr.String())
}
