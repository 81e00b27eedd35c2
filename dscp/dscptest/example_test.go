package dscptest_test

import (
	"fmt"
	"time"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
)

// policeEF loses voice marks once a flow has carried 64 KiB of them: not every
// flow that calls itself voice is.
func policeEF(s dscptest.Segment) dscptest.Verdict {
	if s.DSCP == dscp.EF && s.Offset >= 64<<10 {
		return dscptest.Drop
	}
	return dscptest.Pass
}

// A model of one's own is a function, and needs no box to be tested.
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

// What the models make of OpenSSH 7.8's way: unmarked until it has logged in,
// then AF21.
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

// A policer that lets 1 Mbit/s of unmarked traffic pass, 8 µs for each byte, and
// leaves marked traffic alone.
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
