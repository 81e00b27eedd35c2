package main

import (
	"fmt"
	"strings"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// A strictness is a value of StrictHostKeyChecking.
type strictness int

const (
	strictAsk strictness = iota // ask about an unknown host key, reject a changed one
	strictYes                   // reject both
	strictNew                   // accept an unknown host key, reject a changed one
	strictOff                   // accept both, a changed one with a warning and without passwords
)

var strictWords = map[string]strictness{
	"ask": strictAsk, "yes": strictYes, "true": strictYes, "accept-new": strictNew,
	"no": strictOff, "false": strictOff, "off": strictOff,
}

func strictValue(s *settings, set sshconfig.Setting) (func(), error) {
	word, err := one(set)
	if err != nil {
		return nil, err
	}
	strict, ok := strictWords[strings.ToLower(word)]
	if !ok {
		return nil, fmt.Errorf("stricthostkeychecking: %q is not one of yes, no, ask, accept-new, off", word)
	}
	return func() { s.strict = strict }, nil
}
