package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/servertest"
)

// startRedis runs a Redis on a unix socket until the test ends, and gives its
// URL.
func startRedis(t *testing.T) (url string, stop func()) {
	t.Helper()
	servertest.Need(t, "redis-server")
	dir, err := os.MkdirTemp("", "redis") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "redis.sock")
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = os.RemoveAll(dir)
	})
	t.Cleanup(stop)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return "unix://" + socket, stop
		}
		if time.Now().After(end) {
			t.Fatal("redis-server does not come up")
		}
	}
}

func TestRedis_login(t *testing.T) {
	url, stop := startRedis(t)
	v := newVisitorOf(t, newTestApp(t, config{secret: testSecret, redis: url}))
	v.post("/login", "name", "Ada", "password", "abc").at(t, "/").shows(t, "Hello, Ada", "Welcome back, Ada", "kept in Redis")
	v.get("/session").shows(t, "what Redis holds is encrypted")
	v.post("/logout").at(t, "/").shows(t, "You are logged out")

	v.post("/login", "name", "Ada", "password", "abc")
	stop()
	if a := v.get("/"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "out of reach for the moment") {
		t.Errorf("without Redis: got status %d, want 503 with a page", a.status)
	}
}

func TestRedis_parallel(t *testing.T) {
	url, _ := startRedis(t)
	v := newVisitorOf(t, newTestApp(t, config{secret: testSecret, redis: url}))
	v.post("/parallel/reset")
	var requests sync.WaitGroup
	for n := range parallelRequests {
		requests.Go(func() { v.post("/parallel/set", "n", strconv.Itoa(n+1)) })
	}
	requests.Wait()
	v.get("/parallel").shows(t, "20 of 20 keys are in the session", "Redis takes a save only")
}

func TestRedis_urlWithAMistake(t *testing.T) {
	if _, err := newApp(config{secret: testSecret, redis: "127.0.0.1:6379"}); err == nil {
		t.Error("a URL without redis:// was taken")
	}
}

func TestRedis_andMemcached(t *testing.T) {
	_, err := newApp(config{secret: testSecret, memcached: "127.0.0.1:11211", redis: "redis://127.0.0.1"})
	if err == nil || !strings.Contains(err.Error(), "WithStore") {
		t.Errorf("two stores at once: got %v, want an error that names the second", err)
	}
}
