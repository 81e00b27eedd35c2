// Package shapes tests the cures in dscpvet/docs. For each program there, the way
// in which it marks now fails behind a model of VMware's NAT, and the way that the
// page proposes works.
package shapes
