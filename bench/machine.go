package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// conditions describes how and where a section was measured.
func conditions(rounds int) string {
	return fmt.Sprintf("%d rounds on %s, %s, %d cores, %s.", rounds, kernel(), runtime.GOARCH, runtime.NumCPU(), strings.Replace(runtime.Version(), "go", "Go ", 1))
}

// kernel returns the system and the first two numbers of its version.
func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	numbers := strings.SplitN(string(release), ".", 3)
	return "Linux " + strings.Join(numbers[:min(2, len(numbers))], ".")
}

// version returns the path of a module and the version that was measured.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return module
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return module + " " + m.Version
		}
	}
	return module
}
