// Suites runs the tests of Go's net, net/http, crypto/tls and of other packages
// twice: as they are (bare), and with every dial and listen of package net going
// through package dscp (marked):
//
//	GOWORK=off go run -C proof ./suites        # all
//	GOWORK=off go run -C proof ./suites net os # these packages
//
// A test that passes the first way and not the second is a failure, unless it is
// left out by name, with the reason, in leftout.go.
//
// It changes neither the Go installation nor the module cache: the go command's
// -overlay adds a few lines to package net, with which its exported functions call
// package dscp.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A suite is a set of packages that one go test runs.
type suite struct {
	module   string // in the module cache; empty for the standard library
	packages []string
	run      string // the tests to run; empty for all
}

var suites = []suite{
	{packages: []string{"net", "crypto/tls", "net/http", "net/http/httptest", "net/http/httputil", "net/rpc", "net/smtp", "log/syslog"}},
	{packages: []string{"os"}, run: "^(TestLargeCopyViaNetwork|TestSpliceFile|TestSendFile|TestGetPollFDAndNetwork)$"},
	{module: "golang.org/x/crypto", packages: []string{"ssh", "ssh/agent", "ssh/test"}},
	{module: "golang.org/x/net", packages: []string{"nettest", "netutil", "websocket", "http2", "http2/h2c", "internal/socks"}},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "suites")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	src := filepath.Join(strings.TrimSpace(string(goroot)), "src")

	var rows []row
	var worse, again []string
	for i, s := range chosen(os.Args[1:]) {
		r, err := newRunner(s, src, filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		c, err := r.compare()
		if err != nil {
			return err
		}
		worse, again = append(worse, c.worse()...), append(again, c.again...)
		for _, pkg := range r.packages {
			row, err := r.row(pkg, c)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
	}
	return report(rows, worse, again)
}

// chosen returns the suites with only these packages, or all suites if packages is
// empty.
func chosen(packages []string) (some []suite) {
	if len(packages) == 0 {
		return suites
	}
	for _, s := range suites {
		s.packages = slices.DeleteFunc(s.packages, func(p string) bool {
			return !slices.Contains(packages, path.Join(s.module, p))
		})
		if len(s.packages) > 0 {
			some = append(some, s)
		}
	}
	return some
}
