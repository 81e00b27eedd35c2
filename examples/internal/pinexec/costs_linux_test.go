//go:build amd64 || arm64

package pinexec

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/godscp/godscp/examples/internal/sshtest"
)

func init() {
	probes["costs"] = probeCosts
	probes["serve"] = probeServe
}

// probeCosts measures system calls in many short runs and prints the least time of
// a call and the tenth percentile, in nanoseconds.
func probeCosts([]string) {
	runtime.LockOSThread()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	if err := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		panic(err)
	}
	if err := unix.Listen(listener, 100); err != nil {
		panic(err)
	}
	where, err := unix.Getsockname(listener)
	if err != nil {
		panic(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			panic(err)
		}
		return fd
	}
	for _, c := range []struct {
		name   string
		slices int
		each   int
		f      func()
	}{
		{"getppid", 1000, 100, func() { unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0) }},
		{"setsockopt(TCP_NODELAY)", 1000, 100, func() { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }},
		{"socket and close", 3000, 1, func() { unix.Close(socket()) }},
		{"socket, connect, accept, close", 3000, 1, func() {
			c := socket()
			if err := unix.Connect(c, where); err != nil {
				panic(err)
			}
			s, _, err := unix.Accept(listener)
			if err != nil {
				panic(err)
			}
			// Close with a reset: sockets in TIME_WAIT would use up the ports.
			if err := unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
				panic(err)
			}
			unix.Close(c)
			unix.Close(s)
		}},
	} {
		var took []time.Duration
		for range c.slices {
			begin := time.Now()
			for range c.each {
				c.f()
			}
			took = append(took, time.Since(begin)/time.Duration(c.each))
		}
		slices.Sort(took)
		fmt.Printf("%s\t%d\t%d\n", c.name, took[0].Nanoseconds(), took[len(took)/10].Nanoseconds())
	}
}

// probeServe serves HTTP until its standard input ends.
func probeServe([]string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	io.Copy(io.Discard, os.Stdin)
}

// ways returns the commands before a program's own for each way to run it. The
// benchmarks run them in turn, so that load on the machine affects all of them.
func ways(b *testing.B) map[string][]string {
	pinexec := sshtest.Program(b, "pinexec")
	return map[string][]string{"bare": nil, "AF21": {pinexec, "AF21"}, "DF": {pinexec, "DF"}}
}

// BenchmarkCalls compares system calls. It logs the least time and the tenth
// percentile.
func BenchmarkCalls(b *testing.B) {
	self, err := os.Executable()
	require.NoError(b, err)
	best := map[string]map[string][2]int{}
	for b.Loop() {
		for way, prefix := range ways(b) {
			command := slices.Concat(prefix, []string{self, probeWord, "costs"})
			out, err := exec.Command(command[0], command[1:]...).Output()
			require.NoError(b, err)
			for line := range strings.Lines(string(out)) {
				name, numbers, _ := strings.Cut(line, "\t")
				var least, tenth int
				_, err := fmt.Sscan(numbers, &least, &tenth)
				require.NoError(b, err)
				if best[name] == nil {
					best[name] = map[string][2]int{}
				}
				if old, ok := best[name][way]; ok {
					least, tenth = min(least, old[0]), min(tenth, old[1])
				}
				best[name][way] = [2]int{least, tenth}
			}
		}
	}
	for name, w := range best {
		b.Logf("%-32s ns: bare %v, AF21 %v, DF %v", name, w["bare"], w["AF21"], w["DF"])
	}
}

// BenchmarkHTTPServer compares servers that answer small requests, over one
// connection and over a new one for each request.
func BenchmarkHTTPServer(b *testing.B) {
	self, err := os.Executable()
	require.NoError(b, err)
	const requests = 1000
	best := map[string][2]time.Duration{}
	for b.Loop() {
		for way, prefix := range ways(b) {
			command := slices.Concat(prefix, []string{self, probeWord, "serve"})
			cmd := exec.Command(command[0], command[1:]...)
			stdin, err := cmd.StdinPipe()
			require.NoError(b, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(b, err)
			require.NoError(b, cmd.Start())
			var address string
			_, err = fmt.Fscan(stdout, &address)
			require.NoError(b, err)
			took := [2]time.Duration{}
			for i, keep := range []bool{true, false} {
				client := http.Client{Transport: &http.Transport{DisableKeepAlives: !keep}}
				begin := time.Now()
				for range requests {
					r, err := client.Get("http://" + address)
					require.NoError(b, err)
					io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
				took[i] = time.Since(begin) / requests
				client.CloseIdleConnections()
			}
			stdin.Close()
			require.NoError(b, cmd.Wait())
			if old, ok := best[way]; ok {
				took = [2]time.Duration{min(took[0], old[0]), min(took[1], old[1])}
			}
			best[way] = took
		}
	}
	b.Logf("a request, kept alive and over a new connection: bare %v, AF21 %v, DF %v", best["bare"], best["AF21"], best["DF"])
}

// BenchmarkClone compares a git clone over ssh.
func BenchmarkClone(b *testing.B) {
	git, err := exec.LookPath("git")
	if err != nil {
		b.Skip(err)
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		b.Skip(err)
	}
	key := sshtest.NewKey(b, "")
	sshd := sshtest.StartSSHD(b, key)
	dir := b.TempDir()
	repo := filepath.Join(dir, "repo")
	args := strings.Join(append([]string{ssh}, sshd.Args(b, key, sshd.Addr, "IPQoS=none")...), " ")
	env := append(os.Environ(), "GIT_SSH_COMMAND="+args, "HOME="+dir, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	run := func(command ...string) time.Duration {
		begin := time.Now()
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		require.NoError(b, err, "%s", out)
		return time.Since(begin)
	}
	run("sh", "-c", `git init -q "$0" && head -c 3000000 /dev/urandom >"$0/file" && git -C "$0" add . && git -C "$0" commit -qm One`, repo)
	host, _, err := net.SplitHostPort(sshd.Addr)
	require.NoError(b, err)
	best := map[string]time.Duration{}
	n := 0
	for b.Loop() {
		for way, prefix := range ways(b) {
			n++
			took := run(slices.Concat(prefix, []string{git, "clone", "-q", "ssh://" + host + repo, fmt.Sprint(dir, "/clone", n)})...)
			if old, ok := best[way]; ok {
				took = min(took, old)
			}
			best[way] = took
		}
	}
	b.Logf("git clone: bare %v, AF21 %v, DF %v", best["bare"], best["AF21"], best["DF"])
}
