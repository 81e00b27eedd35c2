package dscp_test

import (
	"flag"
	"fmt"

	"github.com/godscp/godscp/dscp"
)

func ExampleParseIPQoS() {
	for _, value := range []string{"AF21 cs1", "lowdelay throughput", "0xb8", "ef none", "020", "18"} {
		q, err := dscp.ParseIPQoS(value)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%v and %v, for any OpenSSH: IPQoS %v\n", q.Interactive, q.Bulk, q)
	}
	// Output:
	// AF21 and CS1, for any OpenSSH: IPQoS af21 cs1
	// lowdelay and throughput, for any OpenSSH: IPQoS 16 8
	// EF and EF, for any OpenSSH: IPQoS ef ef
	// EF and DF, for any OpenSSH: IPQoS ef cs0
	// dscp: invalid IPQoS value "020": leading zero; OpenSSH up to 9.7 reads 16, OpenSSH since 9.8 reads 20
	// dscp: invalid IPQoS value 18: ECN bits (the low two) must be zero; lowdelay is 16, and the DSCP 18 (AF21) as an octet is 72
}

// A program reads an IPQoS value from a flag and uses one mark for each connection.
func ExampleIPQoS() {
	marks := dscp.OpenSSH78
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	flags.TextVar(&marks, "ipqos", marks, "marks for interactive and for bulk sessions")
	flags.Parse([]string{"-ipqos", "af31 af11"})

	shell := dscp.Dialer{DSCP: marks.Interactive}
	copying := dscp.Dialer{DSCP: marks.Bulk}
	fmt.Println(shell.DSCP, copying.DSCP)
	// Output: AF31 AF11
}
