//go:build unix

package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onResize calls f whenever the size of the terminal changes, until stop.
func onResize(f func()) (stop func()) {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	var watching sync.WaitGroup
	watching.Go(func() {
		for range resized {
			f()
		}
	})
	return func() {
		signal.Stop(resized)
		close(resized)
		watching.Wait()
	}
}
