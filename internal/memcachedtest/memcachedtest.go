// Package memcachedtest runs real memcached processes for tests.
package memcachedtest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/servertest"
)

// Server is a memcached process on loopback or a unix socket. It ends with the
// test.
type Server struct {
	Addr string // host:port or a path

	tb   testing.TB
	args []string
	cmd  *exec.Cmd
}

// Start runs memcached on a TCP port of its own choice, with more arguments if
// need be.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return start(tb, "127.0.0.1:-1", args)
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
	return start(tb, path, nil)
}

// StartTLS runs memcached on a TCP port where it speaks TLS only, and gives what
// a client needs to trust it.
func StartTLS(tb testing.TB) (*Server, *tls.Config) {
	tb.Helper()
	dir := tb.TempDir()
	trust := servertest.Certificate(tb, dir)
	return Start(tb, "-Z", "-o", "ssl_chain_cert="+dir+"/cert,ssl_key="+dir+"/key"), trust
}

func start(tb testing.TB, addr string, args []string) *Server {
	tb.Helper()
	servertest.Need(tb, "memcached")
	s := &Server{Addr: addr, tb: tb, args: append([]string{"-t", "2", "-m", "256", "-c", "4096"}, args...)}
	if os.Getuid() == 0 {
		s.args = append(s.args, "-u", "root")
	}
	tb.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Restart starts the process, after [Server.Kill], at the same address, and
// waits until it accepts connections.
func (s *Server) Restart() {
	s.tb.Helper()
	ports := filepath.Join(s.tb.TempDir(), "ports")
	network, where := "unix", []string{"-s", s.Addr}
	if host, port, err := net.SplitHostPort(s.Addr); err == nil {
		network, where = "tcp", []string{"-l", host, "-p", port}
	}
	s.cmd = exec.Command("memcached", append(where, s.args...)...) //nolint:gosec // of our own
	s.cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+ports)
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		s.readPort(ports)
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

// readPort learns which port memcached chose.
func (s *Server) readPort(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return // not yet
	}
	if _, port, ok := strings.Cut(string(text), "TCP INET: "); ok {
		port, _, _ = strings.Cut(port, "\n")
		s.Addr = "127.0.0.1:" + port
	}
}

// Pause makes the process stop answering.
func (s *Server) Pause() {
	s.tb.Helper()
	servertest.Pause(s.tb, s.cmd.Process)
}

// Resume lets it go on.
func (s *Server) Resume() {
	s.tb.Helper()
	servertest.Resume(s.tb, s.cmd.Process)
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

// Keys lists what the server holds.
func (s *Server) Keys() []string {
	s.tb.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := &console{s.tb, conn, bufio.NewScanner(conn)}
	for {
		keys := c.keys()
		if c.count() == len(keys) { // a dump passes over items that are in use
			return keys
		}
	}
}

// console types commands for people to a server.
type console struct {
	tb    testing.TB
	conn  net.Conn
	lines *bufio.Scanner
}

func (c *console) ask(command string) (reply []string) {
	c.tb.Helper()
	if _, err := io.WriteString(c.conn, command+"\r\n"); err != nil {
		c.tb.Fatal(err)
	}
	for c.lines.Scan() && c.lines.Text() != "END" && !strings.HasPrefix(c.lines.Text(), "BUSY") {
		reply = append(reply, c.lines.Text())
	}
	if err := c.lines.Err(); err != nil {
		c.tb.Fatal(err)
	}
	return reply
}

func (c *console) keys() (keys []string) {
	c.tb.Helper()
	for _, line := range c.ask("lru_crawler metadump all") {
		field, _, _ := strings.Cut(strings.TrimPrefix(line, "key="), " ")
		key, err := url.QueryUnescape(field)
		if err != nil {
			c.tb.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// count is the number of items.
func (c *console) count() int {
	c.tb.Helper()
	for _, line := range c.ask("stats") {
		if n, ok := strings.CutPrefix(line, "STAT curr_items "); ok {
			count, err := strconv.Atoi(n)
			if err != nil {
				c.tb.Fatal(err)
			}
			return count
		}
	}
	c.tb.Fatal("memcached counts no items")
	return 0
}
