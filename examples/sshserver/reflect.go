//go:build unix

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"

	"github.com/godscp/godscp/dscp"
)

// classes are the marks that a client can choose with its SYN. As text they are names
// and octets as in OpenSSH's IPQoS, for [flag.TextVar]. Nil means the default; an empty
// list means no marks.
type classes []dscp.CodePoint

// none is the text of an empty list.
const none = "none"

// MarshalText implements [encoding.TextMarshaler].
func (c classes) MarshalText() ([]byte, error) {
	if c != nil && len(c) == 0 {
		return []byte(none), nil
	}
	var names []string
	for _, cp := range c {
		names = append(names, strings.ToLower(cp.String()))
	}
	return []byte(strings.Join(names, " ")), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *classes) UnmarshalText(text []byte) error {
	list := classes{}
	if string(text) != none {
		for _, s := range strings.Fields(string(text)) {
			cp, err := dscp.ParseTOS(s)
			if err != nil {
				return err
			}
			list = append(list, cp)
		}
		if len(list) == 0 {
			return errors.New(`want marks, or "none"`)
		}
	}
	*c = list
	return nil
}

// listener listens with the options. Without -reflect, clients can choose the marks of
// -ipqos if the system supports that; otherwise all get the mark of -class.
func (o options) listener(ctx context.Context, log *slog.Logger) (net.Listener, error) {
	lc := dscp.ListenConfig{DSCP: o.mark(), Reflect: o.reflect, NATSafe: o.natSafe}
	if o.reflect == nil {
		lc.Reflect = classes{o.ipqos.Interactive, o.ipqos.Bulk}
	}
	l, err := lc.Listen(ctx, "tcp", o.listen)
	if o.reflect == nil && errors.Is(err, errors.ErrUnsupported) {
		reason := err
		lc.Reflect = nil
		if l, err = lc.Listen(ctx, "tcp", o.listen); err == nil {
			log.Info("clients cannot choose their mark on this system", "err", reason)
		}
	}
	return l, err
}
