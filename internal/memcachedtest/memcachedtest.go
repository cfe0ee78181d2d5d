// Package memcachedtest runs real memcached processes for tests.
package memcachedtest

import (
	"bufio"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a memcached process on loopback or a unix socket. It ends with the
// test.
type Server struct {
	Addr string // host:port or a path

	tb   testing.TB
	args []string
	cmd  *exec.Cmd
}

// Start runs memcached on a free TCP port, with more arguments if need be.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	addr := freeAddr(tb)
	_, port, _ := net.SplitHostPort(addr)
	return start(tb, addr, append([]string{"-l", "127.0.0.1", "-p", port}, args...))
}

// StartUnix runs memcached on a unix socket.
func StartUnix(tb testing.TB) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mc") // tb.TempDir may be too long for a socket
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := dir + "/memcached.sock"
	return start(tb, path, []string{"-s", path})
}

func start(tb testing.TB, addr string, args []string) *Server {
	tb.Helper()
	if _, err := exec.LookPath("memcached"); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal("memcached is missing: make test installs it")
		}
		tb.Skip("memcached is missing: install it with make test, apt-get install memcached or brew install memcached")
	}
	s := &Server{Addr: addr, tb: tb, args: append([]string{"-t", "2", "-m", "256", "-c", "4096"}, args...)}
	if os.Getuid() == 0 {
		s.args = append(s.args, "-u", "root")
	}
	tb.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Restart starts the process, after [Server.Kill], and waits until it accepts
// connections.
func (s *Server) Restart() {
	s.tb.Helper()
	s.cmd = exec.Command("memcached", s.args...)
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	network := "tcp"
	if s.Addr[0] == '/' {
		network = "unix"
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial(network, s.Addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			s.tb.Fatalf("memcached does not come up: %v", err)
		}
	}
}

// Kill ends the process with SIGKILL.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
	if s.Addr[0] == '/' {
		_ = os.Remove(s.Addr)
	}
}

// Pause makes the process stop answering, with SIGSTOP.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets it go on, with SIGCONT.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "127.0.0.1:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// Keys lists what the server holds.
func (s *Server) Keys() []string {
	s.tb.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, "lru_crawler metadump all\r\n"); err != nil {
		s.tb.Fatal(err)
	}
	var keys []string
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "END" {
		field, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "key="), " ")
		key, err := url.QueryUnescape(field)
		if err != nil {
			s.tb.Fatal(err)
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		s.tb.Fatal(err)
	}
	return keys
}
