package main

// A leftOut is a test that is not run with our conns, and why.
type leftOut struct{ pkg, test, why string }

var leftOuts = []leftOut{
	{"net", "TestMultiPathTCP", "sockets of ours are plain TCP: Linux cannot mark IPv6 on Multipath TCP"},
	{"os", "TestGetPollFDAndNetwork/tcp4", copyN},
	{"os", "TestSpliceFile/Limited/OneLess-TCP", copyN},
	{"os", "TestSpliceFile/Limited/Half-TCP", copyN},
	{"os", "TestSpliceFile/Limited/More-TCP", copyN},
	{"net", "TestDialerFallbackDelay", "dials by a function of its own, which runs no hooks"},
}

const copyN = "io.CopyN from a Conn to an os.File does not use splice, as its doc says: os looks for net's own raw conn"

// elsewhere are tests of package net that ask name servers on the internet, for
// minutes where there is none, and have no conns in them. They are not run at all.
const elsewhere = "^TestLookup|^TestResolverLookup|^TestCgoLookup|^TestConcurrentPreferGoResolversDial$"
