package main

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ginsession/ginsession/internal/memcachedtest"
)

func onMemcached(t *testing.T) (http.Handler, *memcachedtest.Server) {
	t.Helper()
	server := memcachedtest.Start(t)
	return newTestApp(t, config{secret: testSecret, memcached: server.Addr}), server
}

func TestMemcached_login(t *testing.T) {
	app, server := onMemcached(t)
	v := newVisitorOf(t, app)
	v.post("/login", "name", "Ada", "password", "abc").at(t, "/").shows(t, "Hello, Ada", "Welcome back, Ada", "kept in Memcached")
	v.get("/").shows(t, "Hello, Ada", "2 times")
	v.get("/session").shows(t, "what Memcached holds is encrypted")
	v.post("/logout").at(t, "/").shows(t, "You are logged out")

	v.post("/login", "name", "Ada", "password", "abc")
	server.Kill()
	if a := v.get("/"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "out of reach for the moment") {
		t.Errorf("without Memcached: got status %d, want 503 with a page", a.status)
	}
	server.Restart()
	v.get("/session").shows(t, "Your session is over")
}

func TestMemcached_parallel(t *testing.T) {
	app, _ := onMemcached(t)
	v := newVisitorOf(t, app)
	v.post("/parallel/reset")
	var requests sync.WaitGroup
	for n := range parallelRequests {
		requests.Go(func() { v.post("/parallel/set", "n", strconv.Itoa(n+1)) })
	}
	requests.Wait()
	v.get("/parallel").shows(t, "20 of 20 keys are in the session", "Why none gets lost")
}

func TestMemcached_browser(t *testing.T) {
	app, _ := onMemcached(t)
	u := startBrowser(t, app).newTab(t)
	u.open("/parallel")
	u.click("#fire")
	u.wait("#fire:disabled", "#fire:enabled")
	u.shows("#outcome", "All 20 keys survived")
	u.open("/login")
	u.login("Ada")
	u.shows("h1", "Hello, Ada")
	u.shows(".flash.success", "Welcome back, Ada")
}
