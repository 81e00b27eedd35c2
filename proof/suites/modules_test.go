package main

// go mod tidy keeps what is imported only. The suites of x/crypto, and what the
// tests of x/net import, run at the versions that go.mod requires.
import (
	_ "golang.org/x/crypto/ssh"
	_ "golang.org/x/net/http2"
)
