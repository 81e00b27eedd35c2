//go:build unix

package dscp_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/godscp/godscp/dscp"
)

// Marked AF21 if the path lets such packets through, otherwise with a mark without
// precedence, otherwise unmarked.
func ExampleDialer_fallback() {
	l := echo(&dscp.ListenConfig{})
	defer l.Close()

	d := dscp.Dialer{
		DSCP:     dscp.AF21,
		Fallback: []dscp.CodePoint{dscp.LowDelay, dscp.DF},
	}
	c, err := d.DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err) // has the error of each attempt
		return
	}
	defer c.Close()
	fmt.Println("connected with", c.(*dscp.Conn).DSCP())
	// Output: connected with AF21
}

// A Trace function logs every attempt with slog.
func ExampleDialer_trace() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // the time differs in each run
			}
			return a
		},
	}))
	trace := func(e dscp.Event) {
		level := slog.LevelDebug
		if e.Err != nil || e.Rung > 0 || e.Effective != e.Requested {
			level = slog.LevelWarn
		}
		logger.LogAttrs(context.Background(), level, e.Op,
			slog.String("network", e.Network),
			slog.String("address", e.Address),
			slog.Any("requested", e.Requested),
			slog.Any("effective", e.Effective),
			slog.Int("rung", e.Rung),
			slog.String("why", e.Why),
			slog.Duration("took", e.Duration.Truncate(time.Minute)),
			slog.Any("err", e.Err),
		)
	}

	d := dscp.Dialer{DSCP: dscp.AF21, Trace: trace}
	if c, err := d.Dial("tcp", "example.com"); err == nil {
		c.Close()
	}
	// Output:
	// level=WARN msg=dial network=tcp address=example.com requested=AF21 effective=DF rung=0 why=first took=0s err="dial tcp: address example.com: missing port in address"
}

// Several Dialers share a Memory. If a dial has connected with DF after AF21 had failed,
// the next dial to that address starts with DF.
func ExampleMemory() {
	l := echo(&dscp.ListenConfig{})
	defer l.Close()

	var memory dscp.Memory
	for range 2 {
		d := dscp.Dialer{DSCP: dscp.AF21, Fallback: []dscp.CodePoint{dscp.DF}, Memory: &memory}
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("connected with", c.(*dscp.Conn).DSCP())
		c.Close()
	}
	memory.Clear() // call it when the host has moved to another network
	// Output:
	// connected with AF21
	// connected with AF21
}
