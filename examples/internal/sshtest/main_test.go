package sshtest_test

import (
	"testing"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

func TestMain(m *testing.M) { sshtest.Main(m) }
