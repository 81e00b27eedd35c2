// Package shapes tests the cures that dscpvet/docs describes: for each program
// there, the way in which it marks now fails behind a model of VMware's NAT, and
// the way that the page proposes works.
package shapes
