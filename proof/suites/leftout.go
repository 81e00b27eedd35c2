package main

// A leftOut is a test that is not run with conns of package dscp, and the reason.
type leftOut struct{ pkg, test, why string }

var leftOuts = []leftOut{
	{"net", "TestMultiPathTCP", "dscp's sockets are plain TCP: Linux cannot mark IPv6 on Multipath TCP"},
	{"os", "TestGetPollFDAndNetwork/tcp4", copyN},
	{"os", "TestSpliceFile/Limited/OneLess-TCP", copyN},
	{"os", "TestSpliceFile/Limited/Half-TCP", copyN},
	{"os", "TestSpliceFile/Limited/More-TCP", copyN},
	{"net", "TestDialerFallbackDelay", "dials with the test's own function, which runs no hooks"},
}

const copyN = "io.CopyN from a Conn to an os.File does not use splice, as the doc of Conn says: os needs net's own raw conn"

// elsewhere matches tests of package net that ask name servers on the internet, and
// take minutes without one. They dial nothing through dscp, and are not run at all.
const elsewhere = "^TestLookup|^TestResolverLookup|^TestCgoLookup|^TestConcurrentPreferGoResolversDial$"
