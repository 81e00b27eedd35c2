//go:build amd64 || arm64

package pinexec

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/internal/long"
)

func init() { probes["stress"] = probeStress }

// probeStress makes sockets on four threads while a timer interrupts them.
func probeStress(args []string) {
	each, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGALRM) // its handler has SA_RESTART
	var got atomic.Int64
	done := make(chan struct{})
	supervisor, err := supervisorOf(os.Getpid())
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			select {
			case <-signals:
				got.Add(1)
				// Interrupt the supervisor with the signal of Go's scheduler.
				for range 5 {
					unix.Kill(supervisor, unix.SIGURG)
				}
			case <-done:
				return
			}
		}
	}()
	var zeros, wrong, interrupted, failed atomic.Int64
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			panic(err)
		}
		return len(list)
	}
	before := open()
	every := unix.MakeItimerval(200*time.Microsecond, 200*time.Microsecond)
	if _, err := unix.Setitimer(unix.ITIMER_REAL, every); err != nil {
		panic(err)
	}
	var threads sync.WaitGroup
	for range 4 {
		threads.Go(func() {
			runtime.LockOSThread()
			for range each {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				switch {
				case errors.Is(err, unix.EINTR):
					interrupted.Add(1)
					continue
				case err != nil:
					failed.Add(1)
					continue
				case fd == 0:
					zeros.Add(1)
					continue
				}
				if tos, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS); err != nil || tos != 0x48 {
					wrong.Add(1)
				}
				unix.Close(fd)
			}
		})
	}
	threads.Wait()
	if _, err := unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{}); err != nil {
		panic(err)
	}
	close(done)
	fmt.Printf("0: %d, wrong mark: %d, failed: %d, interrupted: %d, left: %d, signals: %t\n", zeros.Load(), wrong.Load(),
		failed.Load(), interrupted.Load(), open()-before, got.Load() > 10)
}

// TestUnderSignals claims that each socket(2) returns one marked socket and loses no
// descriptor, although signals interrupt the caller and the supervisor at any point.
func TestUnderSignals(t *testing.T) {
	each := long.N(2_000, 25_000)
	assert.Equal(t, "0: 0, wrong mark: 0, failed: 0, interrupted: 0, left: 0, signals: true\n",
		output(t, pinned(t, []string{"AF21"}, probe(t, "stress", strconv.Itoa(each))...)))
}
