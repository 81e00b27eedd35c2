//go:build !linux

package testns

import (
	"runtime"
	"testing"
)

func enter(*testing.T) {}

func reexec(t *testing.T) {
	t.Helper()
	t.Skipf("network namespaces are Linux's; this is %s", runtime.GOOS)
}
