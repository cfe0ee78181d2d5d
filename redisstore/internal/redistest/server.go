// Package redistest runs real redis-server processes for tests: one, a Cluster
// of six, or a master and its replicas under Sentinel.
package redistest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession/internal/servertest"
)

// patience bounds how long a test waits for servers to come up or agree.
const patience = 20 * time.Second

// Server is a redis-server process on loopback. It ends with the test.
type Server struct {
	Addr string // host:port
	Dir  string // its working directory, where it persists

	tb    testing.TB
	args  []string
	plain string // the port without TLS
	tls   *tls.Config
	cmd   *exec.Cmd
	still bool // paused
}

// Start runs redis-server without persistence; args are more settings, as in
// "--requirepass", "secret".
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := newServer(tb, args...)
	s.Restart()
	return s
}

// program is redis-server, unless REDIS_SERVER names another, such as
// valkey-server.
func program() string { return cmp.Or(os.Getenv("REDIS_SERVER"), "redis-server") }

func newServer(tb testing.TB, args ...string) *Server {
	tb.Helper()
	servertest.Need(tb, program())
	s := &Server{Addr: FreeAddr(tb), Dir: tempDir(tb), tb: tb, args: args}
	s.plain = s.Port()
	tb.Cleanup(s.Kill)
	return s
}

// tempDir has a short path, for sockets, and may be removed while a server
// still writes.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// FreeAddr returns a loopback address below the ephemeral ports, so
// that it stays free while a server restarts.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(12000+rand.IntN(20000))) //nolint:gosec // any will do
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	tb.Fatal("no free port")
	return ""
}

// Port is the port's number.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// Restart starts the process, after [Server.Kill], at the same address, and
// waits until it has loaded its data.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Begin()
	s.Await("PING answered", func(c *redis.Client) bool {
		err := c.Ping(context.Background()).Err()
		return err == nil || redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "NOPERM")
	})
}

// Begin starts the process, for this once with more settings, and does not
// wait.
func (s *Server) Begin(more ...string) {
	s.tb.Helper()
	args := []string{"--port", s.plain, "--bind", "127.0.0.1", "--dir", s.Dir, "--save", "", "--appendonly", "no"}
	s.run(slices.Concat(args, s.args, more)...)
}

func (s *Server) run(args ...string) {
	s.tb.Helper()
	output, err := os.Create(filepath.Join(s.Dir, "log"))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = output.Close() }()
	s.cmd = exec.Command(program(), args...) //nolint:gosec // of our own
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.Dir, output, output
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
}

// Await waits until ready returns true.
func (s *Server) Await(what string, ready func(*redis.Client) bool) {
	s.tb.Helper()
	c := s.Client()
	defer func() { _ = c.Close() }()
	for end := time.Now().Add(patience); !ready(c); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.tb.Fatalf("redis-server: not yet after %v: %s\n%s", patience, what, s.log())
		}
	}
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Client returns a client that retries nothing.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: s.Addr, TLSConfig: s.tls, MaxRetries: -1, DialerRetries: 1, PoolSize: 1000, // that many failures to dial make it pause for a second
		DialTimeout: time.Second, ReadTimeout: 5 * time.Second,
	})
}

// Do runs a command and returns its reply, or ends the test.
func (s *Server) Do(args ...any) any {
	s.tb.Helper()
	c := s.Client()
	defer func() { _ = c.Close() }()
	reply, err := c.Do(context.Background(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		s.tb.Fatalf("%v: %v", args, err)
	}
	return reply
}

// Keys returns all keys of the server.
func (s *Server) Keys() (keys []string) {
	s.tb.Helper()
	for _, key := range s.Do("KEYS", "*").([]any) {
		keys = append(keys, key.(string))
	}
	return keys
}

// Info returns one field of INFO.
func (s *Server) Info(field string) string {
	s.tb.Helper()
	c := s.Client()
	defer func() { _ = c.Close() }()
	return info(c, field)
}

func info(c *redis.Client, field string) string {
	text, err := c.Info(context.Background(), "everything").Result()
	if err != nil {
		return err.Error()
	}
	return line(text, field)
}

// line finds "field:value" in a text of lines.
func line(text, field string) string {
	_, rest, _ := strings.Cut("\n"+text, "\n"+field+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// Kill ends the process with SIGKILL.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd, s.still = nil, false
}

// up reports whether the process runs and answers.
func (s *Server) up() bool { return s.cmd != nil && !s.still }

// Pause makes the process stop answering.
func (s *Server) Pause() {
	s.tb.Helper()
	servertest.Pause(s.tb, s.cmd.Process)
	s.still = true
}

// Resume ends a [Server.Pause].
func (s *Server) Resume() {
	s.tb.Helper()
	servertest.Resume(s.tb, s.cmd.Process)
	s.still = false
}

// Quiet keeps the client library from writing to a test's output about servers
// that the test has killed.
func Quiet() { redis.SetLogger(silence{}) }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
