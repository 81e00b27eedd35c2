package main

import (
	"fmt"
	"strings"

	"github.com/godscp/godscp/examples/internal/sshconfig"
)

// A strictness is what to do about a host key that is not known, or another than
// the known one: StrictHostKeyChecking.
type strictness int

const (
	strictAsk strictness = iota // ask about an unknown one, refuse a changed one
	strictYes                   // refuse both
	strictNew                   // take an unknown one, refuse a changed one
	strictOff                   // take both, a changed one with a warning and without passwords
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
