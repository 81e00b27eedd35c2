// Package dscptest is httptest for middleboxes: it puts a network that breaks
// on DSCP between a client and a server in a test, and tells what it saw.
package dscptest
