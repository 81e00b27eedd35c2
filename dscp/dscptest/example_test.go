package dscptest_test

import (
	"fmt"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// policeEF drops voice marks once a flow has carried 64 KiB: a bulk transfer is not
// voice.
func policeEF(s dscptest.Segment) dscptest.Verdict {
	if s.DSCP == dscp.EF && s.Offset >= 64<<10 {
		return dscptest.Drop
	}
	return dscptest.Pass
}

// A model is a function, so it can be tested without a box.
func ExampleModel() {
	for _, s := range []dscptest.Segment{
		{Network: "tcp4", DSCP: dscp.EF, First: dscp.EF, Prev: dscp.EF, Offset: 1000},
		{Network: "tcp4", DSCP: dscp.EF, First: dscp.EF, Prev: dscp.EF, Offset: 100_000},
		{Network: "tcp4", DSCP: dscp.AF21, First: dscp.AF21, Prev: dscp.AF21, Offset: 100_000},
	} {
		fmt.Printf("%v at byte %d: %v\n", s.DSCP, s.Offset, policeEF(s))
	}
	// Output:
	// EF at byte 1000: passed
	// EF at byte 100000: dropped
	// AF21 at byte 100000: passed
}

// Verdicts on OpenSSH 7.8, which sends unmarked until it has logged in, and then AF21.
func ExampleVMware() {
	s := dscptest.Segment{Network: "tcp4", First: dscp.DF, Prev: dscp.DF, DSCP: dscp.AF21}
	fmt.Println("VMware:", dscptest.VMware(s))
	fmt.Println("FlowKey:", dscptest.FlowKey(s))

	s.DSCP = dscp.LowDelay // as OpenSSH 7.7 did
	fmt.Println("VMware:", dscptest.VMware(s))
	fmt.Println("FlowKey:", dscptest.FlowKey(s))
	// Output:
	// VMware: reset
	// FlowKey: blackholed
	// VMware: passed
	// FlowKey: blackholed
}

// A policer that limits unmarked traffic to 1 Mbit/s, which is 8 µs for each byte, and
// does not delay marked traffic.
func ExampleDelayBy() {
	police := func(s dscptest.Segment) dscptest.Verdict {
		if s.DSCP != dscp.DF {
			return dscptest.Pass
		}
		return dscptest.DelayBy(time.Duration(s.Length) * 8 * time.Microsecond)
	}
	fmt.Println(police(dscptest.Segment{Network: "tcp4", Length: 1500}))
	fmt.Println(police(dscptest.Segment{Network: "tcp4", Length: 1500, DSCP: dscp.EF}))
	// Output:
	// delayed by 12ms
	// passed
}
