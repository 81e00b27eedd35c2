//go:build amd64 || arm64

package pinexec

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/godscp/godscp/dscp"
	"github.com/godscp/godscp/dscp/dscptest"
	"github.com/godscp/godscp/examples/internal/sshtest"
	"github.com/godscp/godscp/internal/long"
	"github.com/godscp/godscp/internal/testns"
)

// A site is a server behind a NAT, and a user's ssh configuration and home
// directory.
type site struct {
	*testing.T
	box    *dscptest.Middlebox
	host   string
	port   string
	config string // name of an ssh_config file in which the server is "work"
	ssh    []string
	home   string
	file   string // name of a file of fileSize bytes
	key    *sshtest.Key
	user   string
}

const fileSize = 3 << 20

// atSSHD starts sshd behind a middlebox.
func atSSHD(t *testing.T, address string, model dscptest.Model) *site {
	t.Helper()
	key := sshtest.NewKey(t, "")
	sshd := sshtest.StartSSHD(t, key, "ListenAddress "+address)
	s := behind(t, sshd.Addr, model, dscptest.Client)
	s.key, s.user = key, sshd.User
	s.config = filepath.Join(s.home, "config")
	require.NoError(t, os.WriteFile(s.config, []byte("Host work\n    HostName "+s.host+"\n    Port "+s.port+"\n    User "+sshd.User+
		"\n    IdentityFile "+key.File+"\n    IdentitiesOnly yes\n    IdentityAgent none\n    BatchMode yes\n    IPQoS af21 cs1"+
		"\n    UserKnownHostsFile "+sshtest.KnownHosts(t, sshd.HostKey, s.box.Addr())+"\n"), 0o600))
	s.ssh = []string{sshtest.Tool(t, "ssh"), "-F", s.config}
	s.file = filepath.Join(s.home, "file")
	require.NoError(t, os.WriteFile(s.file, bytes.Repeat([]byte("0123456789abcdef"), fileSize/16), 0o600))
	return s
}

// atHTTP starts an HTTP server behind a middlebox.
func atHTTP(t *testing.T, address string, model dscptest.Model) *site {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(strings.Trim(address, "[]"), "0"))
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(bytes.Repeat([]byte("0123456789abcdef"), fileSize/16))
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return behind(t, l.Addr().String(), model, dscptest.Client)
}

func behind(t *testing.T, upstream string, model dscptest.Model, inside dscptest.Side) *site {
	t.Helper()
	box, err := dscptest.Config{Upstream: upstream, Models: []dscptest.Model{model}, Inside: inside}.Start()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, box.Close()) })
	s := &site{T: t, box: box, home: t.TempDir()}
	s.host, s.port, err = net.SplitHostPort(box.Addr())
	require.NoError(t, err)
	return s
}

// run runs a program until it ends or patience has passed.
func (s *site) run(patience time.Duration, command ...string) (string, error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh", "HOME="+s.home, "GIT_CONFIG_NOSYSTEM=1", "no_proxy=*",
		"GIT_SSH_COMMAND="+strings.Join(s.ssh, " "), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *site) url() string { return "http://" + net.JoinHostPort(s.host, s.port) + "/" }

// The two published Python scripts, except for the address.
const (
	scriptBefore = `import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, bytes([0x48]))
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b"GET / HTTP/1.0\r\n\r\n")
print(s.recv(4096))
`
	scriptAfter = `import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, bytes([0x48]))
s.send(b"GET / HTTP/1.0\r\n\r\n")
print(s.recv(4096))
`
)

// script writes a file and returns its name.
func (s *site) script(name, text string) string {
	s.Helper()
	file := filepath.Join(s.home, name)
	require.NoError(s, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// remarker is a Go program that marks its connection after it is established, as
// many programs do.
const remarker = `package main

import ("fmt"; "io"; "net"; "os"; "golang.org/x/net/ipv4"; "golang.org/x/net/ipv6")

func main() {
	c, err := net.Dial("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err == nil && c.LocalAddr().(*net.TCPAddr).IP.To4() != nil {
		err = ipv4.NewConn(c).SetTOS(0x48)
	} else if err == nil {
		err = ipv6.NewConn(c).SetTrafficClass(0x48)
	}
	if err == nil {
		_, err = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	}
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
`

// static builds a static program and puts its file name into the environment. The test
// calls it before testns.Inside, whose child process inherits the environment.
func static(t *testing.T, name, source string) {
	t.Helper()
	if os.Getenv("PINEXEC_TEST_"+name) != "" {
		return
	}
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(file+".go", []byte(source), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", file, file+".go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // without a -race in GOFLAGS
	if out, err := build.CombinedOutput(); err != nil {
		t.Logf("%s cannot be built here: %v\n%s", name, err, out)
		return
	}
	t.Setenv("PINEXEC_TEST_"+name, file)
}

// A program is a common network program and a check of its result.
type program struct {
	name string
	at   func(t *testing.T, address string, model dscptest.Model) *site
	// command returns the command line, or skips the test if the program is missing.
	command func(s *site) []string
	check   func(s *site, out string)
	ipv4    bool // it supports only IPv4
	remarks bool // without pinexec it changes the mark of the flow
	status  int  // expected exit status
}

var programs = []program{
	{name: "ssh", at: atSSHD, remarks: true,
		command: func(s *site) []string { return append(s.ssh, "work", "echo done") },
		check:   func(s *site, out string) { assert.Contains(s, out, "done\n") }},
	{name: "ssh with a terminal", at: atSSHD, status: 7,
		command: func(s *site) []string { return append(s.ssh, "-tt", "work", "tty >/dev/null && echo done; exit 7") },
		check:   func(s *site, out string) { assert.Contains(s, out, "done\r\n") }},
	{name: "ssh with standard input", at: atSSHD, remarks: true,
		command: func(s *site) []string {
			return []string{"sh", "-c", strings.Join(s.ssh, " ") + " work wc -c <" + s.file}
		},
		check: func(s *site, out string) { assert.Contains(s, out, fmt.Sprint(fileSize)) }},
	{name: "ssh with 3 MB", at: atSSHD, remarks: true,
		command: func(s *site) []string { return append(s.ssh, "work", "cat "+s.file) },
		check:   func(s *site, out string) { assert.GreaterOrEqual(s, len(out), fileSize) }},
	{name: "scp", at: atSSHD, remarks: true,
		command: func(s *site) []string {
			return []string{sshtest.Tool(s, "scp"), "-q", "-F", s.config, s.file, "work:" + s.home + "/there"}
		}, check: arrived},
	{name: "scp -O", at: atSSHD, remarks: true,
		command: func(s *site) []string {
			scp := sshtest.Tool(s, "scp")
			arguments := []string{"-q", "-F", s.config, "work:" + s.file, s.home + "/there"}
			if said, _ := exec.Command(scp, "-O").CombinedOutput(); !strings.Contains(string(said), "unknown option") {
				return append([]string{scp, "-O"}, arguments...)
			}
			return append([]string{scp}, arguments...) // before 8.7, scp has only this protocol
		}, check: arrived},
	{name: "sftp", at: atSSHD, remarks: true,
		command: func(s *site) []string {
			return []string{sshtest.Tool(s, "sftp"), "-q", "-F", s.config, "-b", s.script("batch", "put "+s.file+" "+s.home+"/there\n"), "work"}
		}, check: arrived},
	{name: "git clone", at: atSSHD, remarks: true,
		command: func(s *site) []string {
			git := sshtest.Tool(s, "git")
			repo := s.home + "/repo"
			out, err := s.run(patience, "sh", "-c", `"$1" init -q "$2" && cp "$3" "$2" && "$1" -C "$2" add . && "$1" -C "$2" commit -qm One`, "sh", git, repo, s.file)
			require.NoError(s, err, out)
			return []string{git, "clone", "-q", "ssh://work" + repo, s.home + "/clone"}
		},
		check: func(s *site, _ string) { assert.FileExists(s, s.home+"/clone/file") }},
	{name: "rsync", at: atSSHD, remarks: true,
		command: func(s *site) []string {
			return []string{sshtest.Tool(s, "rsync"), "-e", strings.Join(s.ssh, " "), s.file, "work:" + s.home + "/there"}
		}, check: arrived},
	{name: "dbclient", at: atSSHD,
		command: func(s *site) []string {
			key := s.home + "/dropbear"
			out, err := s.run(patience, sshtest.Tool(s, "dropbearconvert"), "openssh", "dropbear", s.key.File, key)
			require.NoError(s, err, out)
			return []string{sshtest.Tool(s, "dbclient"), "-y", "-y", "-i", key, "-p", s.port, s.user + "@" + s.host, "echo done"}
		},
		check: func(s *site, out string) { assert.Contains(s, out, "done\n") }},
	{name: "curl", at: atHTTP,
		command: func(s *site) []string { return []string{sshtest.Tool(s, "curl"), "-sSg", s.url()} },
		check:   func(s *site, out string) { assert.Len(s, out, fileSize) }},
	{name: "wget", at: atHTTP,
		command: func(s *site) []string {
			return []string{sshtest.Tool(s, "wget"), "-q", "-O", s.home + "/there", s.url()}
		}, check: arrived},
	{name: "script 1", at: atHTTP, ipv4: true,
		command: func(s *site) []string {
			return []string{python(s), s.script("before.py", scriptBefore), s.host, s.port}
		},
		check: func(s *site, out string) { assert.Contains(s, out, "200 OK") }},
	{name: "script 2", at: atHTTP, ipv4: true, remarks: true,
		command: func(s *site) []string {
			return []string{python(s), s.script("after.py", scriptAfter), s.host, s.port}
		},
		check: func(s *site, out string) { assert.Contains(s, out, "200 OK") }},
	{name: "a static Go program", at: atHTTP, remarks: true,
		command: func(s *site) []string {
			file := os.Getenv("PINEXEC_TEST_remarker")
			if file == "" {
				testns.Lacks(s, "no Go toolchain here that can build the program")
			}
			return []string{file, s.host, s.port}
		},
		check: func(*site, string) {}},
}

// python returns the file name of the interpreter: python3 in PATH may be a shell
// script that starts it.
func python(s *site) string {
	s.Helper()
	out, err := exec.Command(sshtest.Tool(s, "python3"), "-c", "import sys; print(sys.executable)").Output()
	require.NoError(s, err)
	return strings.TrimSpace(string(out))
}

func arrived(s *site, _ string) {
	info, err := os.Stat(s.home + "/there")
	if assert.NoError(s, err) {
		assert.EqualValues(s, fileSize, info.Size())
	}
}

// TestPrograms claims that common programs work under pinexec behind NATs that
// break on a change of the mark, and that those which re-mark fail without it.
func TestPrograms(t *testing.T) {
	sshtest.Built(t, "pinexec")
	static(t, "remarker", remarker)
	if !testns.Inside(t) {
		return
	}
	dscptest.Require(t, dscptest.BoxIPv4)
	needFilters(t)
	pinexec := sshtest.Program(t, "pinexec")
	models := map[string]dscptest.Model{"VMware": dscptest.VMware, "FlowKey": dscptest.FlowKey}
	for _, p := range programs {
		for model := range models {
			for network, address := range map[string]string{"IPv4": "127.0.0.1", "IPv6": "[::1]"} {
				if network == "IPv6" && (p.ipv4 || !hasIPv6()) {
					continue
				}
				if model == "FlowKey" && network == "IPv6" && long.N(0, 1) == 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, %s", p.name, model, network), func(t *testing.T) {
					s := p.at(t, address, models[model])
					command := p.command(s)
					out, err := s.run(patience, append([]string{pinexec, "AF21"}, command...)...)
					if p.status == 0 {
						require.NoError(t, err, "%s", out)
					} else {
						require.EqualError(t, err, fmt.Sprint("exit status ", p.status), "%s", out)
					}
					p.check(s, out)
					flows := s.box.Flows()
					require.Len(t, flows, 1)
					assert.Equal(t, dscp.AF21, flows[0].SYN)
					for _, c := range flows[0].Changes {
						assert.NotEqual(t, dscptest.ClientToServer, c.Direction, "%v", flows[0])
					}
					assert.Equal(t, dscptest.Pass, flows[0].Verdict, "%v", flows[0])
				})
				// Behind FlowKey a program hangs for minutes: a short run tests one of them.
				if !p.remarks || long.N(0, 1) == 0 && (network == "IPv6" || model == "FlowKey" && p.name != "ssh") {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, %s, without", p.name, model, network), func(t *testing.T) {
					s := p.at(t, address, models[model])
					command := p.command(s)
					wait := patience
					if model == "FlowKey" {
						wait = 2 * time.Second
					}
					out, err := s.run(wait, command...)
					require.Error(t, err, "%s", out)
					flows := s.box.Flows()
					require.Len(t, flows, 1)
					assert.NotEqual(t, dscptest.Pass, flows[0].Verdict, "%v", flows[0])
				})
			}
		}
	}
}

// TestSSHDInside claims that sshd on the inside of the NAT, as in a virtual machine,
// works under pinexec and fails without it.
func TestSSHDInside(t *testing.T) {
	sshtest.Built(t, "pinexec")
	if !testns.Inside(t) {
		return
	}
	dscptest.Require(t, dscptest.BoxIPv4)
	needFilters(t)
	pinexec := sshtest.Program(t, "pinexec")
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd"
	}
	ssh := sshtest.Tool(t, "ssh")
	for _, pinned := range []bool{true, false} {
		for network, address := range map[string]string{"IPv4": "127.0.0.1", "IPv6": "[::1]"} {
			if network == "IPv6" && !hasIPv6() {
				continue
			}
			t.Run(fmt.Sprintf("%s, under pinexec: %t", network, pinned), func(t *testing.T) {
				if pinned {
					bin := t.TempDir()
					wrapper := fmt.Sprintf("#!/bin/sh\nexec %s AF21 %s \"$@\"\n", pinexec, sshd)
					require.NoError(t, os.WriteFile(bin+"/sshd", []byte(wrapper), 0o755))
					t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
				}
				key := sshtest.NewKey(t, "")
				server := sshtest.StartSSHD(t, key, "ListenAddress "+address, "IPQoS af21 cs1")
				s := behind(t, server.Addr, dscptest.VMware, dscptest.Server)
				args := append([]string{ssh}, server.Args(t, key, s.box.Addr(), "IPQoS=none")...)
				out, err := s.run(patience, append(args, s.host, "head -c 3145728 /dev/zero | wc -c; exit 7")...)
				flows := s.box.Flows()
				require.NotEmpty(t, flows)
				if !pinned {
					require.Error(t, err)
					assert.NotEqual(t, dscptest.Pass, flows[0].Verdict, "%v\n%s", flows[0], out)
					return
				}
				require.EqualError(t, err, "exit status 7", "%s\n%s", out, server.Log())
				assert.Contains(t, out, "3145728\n")
				assert.True(t, flows[0].Answered)
				assert.Equal(t, dscp.AF21, flows[0].SYNACK)
				for _, c := range flows[0].Changes {
					assert.NotEqual(t, dscptest.ServerToClient, c.Direction, "%v", flows[0])
				}
				assert.Equal(t, dscptest.Pass, flows[0].Verdict, "%v", flows[0])
			})
		}
	}
}
