package main

// go mod tidy removes requirements that no package imports. The suites of x/crypto
// and x/net run at the versions that go.mod requires.
import (
	_ "golang.org/x/crypto/ssh"
	_ "golang.org/x/net/http2"
)
