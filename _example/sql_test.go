package main

import (
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func inFile(t *testing.T) (app http.Handler, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "sessions.db")
	return newTestApp(t, config{secret: testSecret, sql: file}), file
}

func TestSQL_login(t *testing.T) {
	app, _ := inFile(t)
	v := newVisitorOf(t, app)
	v.post("/login", "name", "Ada", "password", "abc").at(t, "/").shows(t, "Hello, Ada", "Welcome back, Ada", "kept in SQLite")
	v.get("/session").shows(t, "what SQLite holds is encrypted")
	v.post("/logout").at(t, "/").shows(t, "You are logged out")
}

func TestSQL_parallel(t *testing.T) {
	app, _ := inFile(t)
	v := newVisitorOf(t, app)
	v.post("/parallel/reset")
	var requests sync.WaitGroup
	for n := range parallelRequests {
		requests.Go(func() { v.post("/parallel/set", "n", strconv.Itoa(n+1)) })
	}
	requests.Wait()
	v.get("/parallel").shows(t, "20 of 20 keys are in the session", "SQLite takes a save only")
}

// A restart of the app does not end what is in the file.
func TestSQL_restart(t *testing.T) {
	app, file := inFile(t)
	var mu sync.Mutex
	v := newVisitorOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		app.ServeHTTP(w, r)
	}))
	v.post("/todo", "text", "restart it")
	mu.Lock()
	app = newTestApp(t, config{secret: testSecret, sql: file})
	mu.Unlock()
	v.get("/todo").shows(t, "restart it")
}

// The demo reports at its start what is wrong with the place of its sessions.
func TestSQL_mistakes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	_ = l.Close()
	rows := []struct{ sql, way, server string }{
		{"postgres://app:hunter2@" + nobody + "/app", "PostgreSQL does not answer", "PostgreSQL"},
		{"mysql://app:hunter2@" + nobody + "/app", "MySQL does not answer", "MySQL"},
		{"mysql://app:hunter2%zz@" + nobody, "no URL such as", "MySQL"},
		{"postgres://app:hunter2%zz@" + nobody, "failed to parse as URL", "PostgreSQL"},
		{filepath.Join(t.TempDir(), "nowhere", "sessions.db"), "look at its path", "SQLite"},
	}
	for _, row := range rows {
		cfg := config{secret: testSecret, sql: row.sql}
		if _, err := newApp(cfg); err == nil || !strings.Contains(err.Error(), row.way) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", row.server, err, row.way)
		}
		if got := cfg.server(); got != row.server {
			t.Errorf("got server %q, want %q", got, row.server)
		}
	}
}
