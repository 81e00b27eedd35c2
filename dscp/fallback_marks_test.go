package dscp

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/godscp/godscp/internal/tos"
)

func TestFallbackMarks(t *testing.T) {
	if tos.Host.Unmarkable != "" {
		t.Skip("this system cannot mark, so Fallback does nothing: ", tos.Host.Unmarkable)
	}
	for name, tt := range map[string]struct {
		dialer  Dialer
		network string
		want    []CodePoint
	}{
		"none":                          {Dialer{DSCP: AF21}, "tcp", nil},
		"in order":                      {Dialer{DSCP: AF21, Fallback: []CodePoint{LowDelay, DF}}, "tcp", []CodePoint{AF21, LowDelay, DF}},
		"repeats":                       {Dialer{DSCP: AF21, Fallback: []CodePoint{AF21, DF, AF21, DF, CS0}}, "tcp", []CodePoint{AF21, DF}},
		"only repeats":                  {Dialer{DSCP: AF21, Fallback: []CodePoint{AF21}}, "tcp", nil},
		"NATSafe maps every mark":       {Dialer{DSCP: CS1, NATSafe: true, Fallback: []CodePoint{EF, DF}}, "tcp", []CodePoint{Throughput, LowDelay, DF}},
		"NATSafe makes repeats":         {Dialer{DSCP: AF21, NATSafe: true, Fallback: []CodePoint{EF, AF41, LowDelay}}, "tcp", nil},
		"DF first":                      {Dialer{Fallback: []CodePoint{AF21}}, "tcp4", []CodePoint{DF, AF21}},
		"AllowUnmarked changes nothing": {Dialer{DSCP: EF, AllowUnmarked: true, Fallback: []CodePoint{DF}}, "tcp6", []CodePoint{EF, DF}},
		"UDP has no handshake":          {Dialer{DSCP: EF, Fallback: []CodePoint{DF}}, "udp", nil},
		"ip networks have no handshake": {Dialer{DSCP: EF, Fallback: []CodePoint{DF}}, "ip4:icmp", nil},
		"unix networks have no marks":   {Dialer{DSCP: EF, Fallback: []CodePoint{DF}}, "unix", nil},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.dialer.fallbackMarks(tt.network))
		})
	}
}

func TestNoFallbackAllocatesNothing(t *testing.T) {
	d := &Dialer{DSCP: AF21}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_ = d.checkFallback("tcp")
		_ = d.fallbackMarks("tcp")
	}))
}

// TestFallbackBound checks that all attempts together end at the earliest of the
// context's deadline, NetDialer.Deadline and NetDialer.Timeout.
func TestFallbackBound(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		dialer *net.Dialer
		want   time.Duration // 0: none
	}{
		"no dialer":      {nil, 0},
		"none":           {&net.Dialer{}, 0},
		"timeout":        {&net.Dialer{Timeout: time.Hour}, time.Hour},
		"deadline":       {&net.Dialer{Deadline: now.Add(2 * time.Hour)}, 2 * time.Hour},
		"timeout first":  {&net.Dialer{Timeout: time.Hour, Deadline: now.Add(2 * time.Hour)}, time.Hour},
		"deadline first": {&net.Dialer{Timeout: 3 * time.Hour, Deadline: now.Add(2 * time.Hour)}, 2 * time.Hour},
		"context first":  {&net.Dialer{Timeout: 30 * time.Hour, Deadline: now.Add(20 * time.Hour)}, 9 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if name == "context first" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithDeadline(ctx, now.Add(tt.want))
				defer cancel()
			}
			d := &Dialer{NetDialer: tt.dialer}
			ctx, cancel := d.bound(ctx)
			defer cancel()
			deadline, ok := ctx.Deadline()
			assert.Equal(t, tt.want != 0, ok)
			if ok {
				assert.WithinDuration(t, now.Add(tt.want), deadline, time.Minute)
			}
		})
	}
}

func TestHasPort(t *testing.T) {
	assert.False(t, hasPort(nil))
	assert.False(t, hasPort((*net.TCPAddr)(nil)))
	assert.False(t, hasPort(&net.TCPAddr{}))
	assert.False(t, hasPort(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	assert.True(t, hasPort(&net.TCPAddr{Port: 1022}))
	assert.True(t, hasPort(&net.TCPAddr{IP: net.IPv6loopback, Port: 1022, Zone: "lo"}))
}
