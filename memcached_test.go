package ginsession_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/storetest"
)

func TestMemcached_contract(t *testing.T) {
	stores := map[string]func(t *testing.T) ginsession.Store{
		"tcp": func(t *testing.T) ginsession.Store {
			return ginsession.NewMemcachedStore(memcachedtest.Start(t).Addr)
		},
		"unix socket": func(t *testing.T) ginsession.Store {
			return ginsession.NewMemcachedStore(memcachedtest.StartUnix(t).Addr)
		},
		"three servers": func(t *testing.T) ginsession.Store {
			return ginsession.NewMemcachedStore(memcachedtest.Start(t).Addr, memcachedtest.Start(t).Addr, memcachedtest.Start(t).Addr)
		},
		"own client": func(t *testing.T) ginsession.Store {
			return ginsession.NewMemcachedClientStore(memcache.New(memcachedtest.Start(t).Addr))
		},
		"own client over TLS": func(t *testing.T) ginsession.Store {
			return ginsession.NewMemcachedClientStore(tlsClient(t))
		},
	}
	for name, newStore := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, newStore(t))
		})
	}
}

func TestMemcached_sessions(t *testing.T) {
	storetest.RunSessions(t, ginsession.NewMemcachedStore(memcachedtest.Start(t).Addr), storetest.Short)
}

func TestMemcached_outages(t *testing.T) {
	load := storetest.Load{PerSecond: 200, Users: 40, Between: 500 * time.Millisecond, Lasts: 800 * time.Millisecond}
	memcachedOutages(t, load)
}

func memcachedOutages(t *testing.T, load storetest.Load) storetest.Report {
	t.Helper()
	server := memcachedtest.Start(t)
	return storetest.RunOutages(t, ginsession.NewMemcachedStore(server.Addr), load,
		storetest.Outage{Name: "SIGSTOP", Begin: server.Pause, End: server.Resume},
		storetest.Outage{Name: "SIGKILL", Begin: server.Kill, End: server.Restart, Forgets: true},
		storetest.Outage{Name: "SIGSTOP again", Begin: server.Pause, End: server.Resume},
		storetest.Outage{Name: "SIGKILL at once", Begin: func() { server.Kill(); server.Restart() }, End: func() {}, Forgets: true},
	)
}

// tlsClient returns a client of a server that speaks only TLS.
func tlsClient(t *testing.T) *memcache.Client {
	t.Helper()
	server, trust := memcachedtest.StartTLS(t)
	client := memcache.New(server.Addr)
	client.DialContext = (&tls.Dialer{Config: trust}).DialContext
	return client
}

// sessionApp is an app with a session in Memcached.
func sessionApp(t testing.TB, opts ...ginsession.Option) *gin.Engine {
	t.Helper()
	r := newEngine(t, opts...)
	r.GET("/set/:key/:value", func(c *gin.Context) {
		ginsession.From(c).Set(c.Param("key"), c.Param("value"))
		c.String(http.StatusOK, "set")
	})
	r.GET("/delete/:key", func(c *gin.Context) { ginsession.From(c).Delete(c.Param("key")) })
	r.GET("/get/:key", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "%s new=%v rejected=%v", s.GetString(c.Param("key")), s.IsNew(), s.Rejected())
	})
	r.GET("/large/:n", func(c *gin.Context) {
		var n int
		_, _ = fmt.Sscan(c.Param("n"), &n)
		ginsession.From(c).Set("large", strings.Repeat("x", n))
		c.String(http.StatusOK, "large")
	})
	r.GET("/renew", func(c *gin.Context) { ginsession.From(c).Renew() })
	r.GET("/logout", func(c *gin.Context) { ginsession.From(c).Destroy() })
	r.GET("/untouched", func(c *gin.Context) { c.String(http.StatusOK, "untouched") })
	return r
}

func wantBody(t *testing.T, b *browser, path string, status int, body string) {
	t.Helper()
	if w := b.get(path); w.Code != status || w.Body.String() != body {
		t.Errorf("GET %s: got %d %q, want %d %q", path, w.Code, w.Body, status, body)
	}
}

const loaded = " new=false rejected=<nil>"

func TestMemcached_roundTrips(t *testing.T) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	b := newBrowser(sessionApp(t, ginsession.WithMemcached(proxy.Addr)))
	rows := []struct{ path, verbs string }{
		{"/untouched", ""}, {"/get/a", ""}, {"/delete/a", ""}, // no cookie: nothing to ask for
		{"/set/a/1", "add"}, {"/untouched", ""}, {"/get/a", "gets"}, {"/set/a/2", "gets cas"}, {"/set/a/2", "gets"},
		{"/renew", "gets add cas"}, {"/delete/a", "gets cas"}, {"/set/a/1", "add"}, {"/logout", "gets cas"},
	}
	for _, row := range rows {
		b.get(row.path)
		var verbs []string
		for _, line := range proxy.Asked() {
			verb, _, _ := strings.Cut(line, " ")
			verbs = append(verbs, verb)
		}
		if got := strings.Join(verbs, " "); got != row.verbs {
			t.Errorf("GET %s: asked %q, want %q", row.path, got, row.verbs)
		}
	}
}

func TestMemcached_idIsSafeToLog(t *testing.T) {
	server := memcachedtest.Start(t)
	r := sessionApp(t, ginsession.WithMemcached(server.Addr))
	var before, after string
	r.GET("/id", func(c *gin.Context) {
		s := ginsession.From(c)
		before = s.ID()
		s.Set("a", 1)
		if err := s.Save(); err != nil {
			t.Error(err)
		}
		after = s.ID()
	})
	b := newBrowser(r)
	b.get("/id")
	if before != "" || len(after) != 43 || !slices.Equal(server.Keys(), []string{"session:" + after}) {
		t.Errorf("got ID %q, then %q; the server has %q", before, after, server.Keys())
	}
	forged := &http.Cookie{Name: "__Host-session", Value: after}
	if w := do(t, r, http.MethodGet, "/get/a", forged); !strings.Contains(w.Body.String(), "not one of ours") {
		t.Errorf("an ID used as a cookie gave %q", w.Body)
	}
}

// Whoever reads all that the server holds learns nothing; whoever swaps two
// users' records gives neither the other's session.
func TestMemcached_holdsNothingInTheClear(t *testing.T) {
	server := memcachedtest.Start(t)
	r := sessionApp(t, ginsession.WithMemcached(server.Addr))
	users := map[string]*browser{"Wilhelmina": newBrowser(r), "Bartholomew": newBrowser(r)}
	for name, b := range users {
		b.get("/set/nickname/" + name)
		wantBody(t, b, "/get/nickname", http.StatusOK, name+loaded)
	}

	client := memcache.New(server.Addr)
	items := make([]*memcache.Item, 0, 2)
	for _, key := range server.Keys() {
		item, err := client.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
		for name, b := range users {
			cookie := b.cookies["__Host-session"].Value
			for _, plain := range []string{"nickname", name, cookie, cookie[:20]} {
				if strings.Contains(key, plain) || bytes.Contains(item.Value, []byte(plain)) {
					t.Errorf("%q stands in the clear", plain)
				}
			}
		}
	}
	if len(items) != 2 {
		t.Fatalf("got %d items, want 2", len(items))
	}

	items[0].Value, items[1].Value = items[1].Value, items[0].Value
	for _, item := range items {
		if err := client.Set(item); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range users {
		wantBody(t, b, "/get/nickname", http.StatusOK, " new=true rejected="+ginsession.ErrInvalid.Error())
	}
}

// A damaged record counts as a forged cookie: a new id, the record left alone.
func TestMemcached_damagedRecord(t *testing.T) {
	server := memcachedtest.Start(t)
	b := newBrowser(sessionApp(t, ginsession.WithMemcached(server.Addr)))
	b.get("/set/a/1")
	key, cookie := server.Keys()[0], b.cookies["__Host-session"].Value
	client := memcache.New(server.Addr)
	if err := client.Set(&memcache.Item{Key: key, Value: []byte("damaged")}); err != nil {
		t.Fatal(err)
	}
	wantBody(t, b, "/get/a", http.StatusOK, " new=true rejected="+ginsession.ErrInvalid.Error())
	b.get("/set/b/2")
	if b.cookies["__Host-session"].Value == cookie {
		t.Error("the session kept the id of a damaged record")
	}
	if item, err := client.Get(key); err != nil || string(item.Value) != "damaged" {
		t.Errorf("the damaged record was touched: %v", err)
	}
}

func TestMemcached_recordGoneAtLoad(t *testing.T) {
	server := memcachedtest.Start(t)
	b := newBrowser(sessionApp(t, ginsession.WithMemcached(server.Addr)))
	b.get("/set/a/1")
	old := b.cookies["__Host-session"].Value
	server.Kill()
	server.Restart()
	wantBody(t, b, "/get/a", http.StatusOK, " new=true rejected="+ginsession.ErrUnknown.Error())
	b.get("/set/b/2")
	if b.cookies["__Host-session"].Value == old {
		t.Error("an id that was lost is used again")
	}
	wantBody(t, b, "/get/a", http.StatusOK, loaded)
	wantBody(t, b, "/get/b", http.StatusOK, "2"+loaded)
}

// What is gone between load and commit never comes back from the loaded copy.
func TestMemcached_recordGoneAtCommit(t *testing.T) {
	server := memcachedtest.Start(t)
	r := sessionApp(t, ginsession.WithMemcached(server.Addr))
	r.GET("/slow", func(c *gin.Context) {
		ginsession.From(c).Set("mine", "yes")
		server.Kill()
		server.Restart()
	})
	b := newBrowser(r)
	b.get("/set/old/1")
	old := b.cookies["__Host-session"].Value
	if w := b.get("/slow"); w.Code != http.StatusOK || b.cookies["__Host-session"].Value != old {
		t.Errorf("status %d, same id: %v", w.Code, b.cookies["__Host-session"].Value == old)
	}
	wantBody(t, b, "/get/mine", http.StatusOK, " new=true rejected="+ginsession.ErrUnknown.Error())
}

func TestMemcached_down(t *testing.T) {
	server := memcachedtest.Start(t)
	var seen []error
	r := sessionApp(t, ginsession.WithMemcached(server.Addr), ginsession.WithErrorHandler(func(_ *gin.Context, err error) { seen = append(seen, err) }))
	b := newBrowser(r)
	b.get("/set/a/1")
	server.Kill()
	const page = "Service Unavailable\n"
	for _, path := range []string{"/get/a", "/set/a/2", "/logout"} {
		cookie := b.cookies["__Host-session"]
		w := b.get(path)
		if w.Code != http.StatusServiceUnavailable || w.Body.String() != page {
			t.Errorf("GET %s: got %d %q, want 503 %q", path, w.Code, w.Body, page)
		}
		if sent := w.Header().Get("Set-Cookie"); (sent != "") != (path == "/logout") {
			t.Errorf("GET %s: Set-Cookie sent: %v", path, sent != "")
		}
		b.cookies["__Host-session"] = cookie
	}
	wantBody(t, b, "/untouched", http.StatusOK, "untouched")
	wantBody(t, newBrowser(r), "/get/a", http.StatusOK, " new=true rejected=<nil>") // nobody to ask about
	wantBody(t, newBrowser(r), "/set/a/1", http.StatusServiceUnavailable, page)
	if len(seen) != 4 {
		t.Fatalf("the error handler ran %d times, want 4", len(seen))
	}
	var cause *net.OpError
	if err := seen[0]; !errors.Is(err, ginsession.ErrUnavailable) || !errors.As(err, &cause) || !strings.Contains(err.Error(), "memcached does not answer") {
		t.Errorf("got %v, want ErrUnavailable with its cause, of memcached", err)
	}
	server.Restart()
	wantBody(t, newBrowser(r), "/set/a/1", http.StatusOK, "set")
}

// A hundred idle connections are dead after a restart; no request fails of it.
func TestMemcached_restartCostsNoRequest(t *testing.T) {
	server := memcachedtest.Start(t)
	r := sessionApp(t, ginsession.WithMemcached(server.Addr))
	at := make(chan struct{}, 100)
	for range 2 {
		answers := make(chan int, 100)
		for range 100 {
			go func() {
				b := newBrowser(r)
				b.get("/set/a/1")
				at <- struct{}{}
				answers <- b.get("/get/a").Code + b.get("/set/a/2").Code
			}()
		}
		for range 100 {
			<-at
			if sum := <-answers; sum != 2*http.StatusOK {
				t.Errorf("a request failed: the sum of two status codes is %d", sum)
			}
		}
		server.Kill()
		server.Restart()
	}
}

// All idle connections are dead, and the first to find out is a save.
func TestMemcached_deadConnectionsAtSave(t *testing.T) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	store := ginsession.NewMemcachedStore(proxy.Addr)
	if err := store.Save(t.Context(), "id", stored("one", nil)); err != nil {
		t.Fatal(err)
	}
	version := loadRecord(t, store, "id").Version
	proxy.Asked()
	var all sync.WaitGroup
	together := make(chan struct{})
	proxy.Answer(func(_ string, reply []byte) memcachedtest.Reply { <-together; return memcachedtest.Reply{Data: reply} })
	for range 20 {
		all.Go(func() { loadRecord(t, store, "id") })
	}
	for asked := 0; asked < 20; asked += len(proxy.Asked()) {
		time.Sleep(time.Millisecond) // until each has a connection of its own
	}
	close(together)
	all.Wait()
	proxy.HangUp()
	if err := store.Save(t.Context(), "id", stored("two", version)); err != nil {
		t.Errorf("got %v, want a save on a fresh connection", err)
	}
}

// The store may or may not have saved. To go on would count an update twice.
func TestStore_nothingAfterAnUnknownOutcome(t *testing.T) {
	store := &spy{Store: ginsession.NewMemcachedStore(memcachedtest.Start(t).Addr)}
	r := sessionApp(t, ginsession.WithStore(store))
	r.GET("/update", func(c *gin.Context) {
		s := ginsession.From(c)
		add := func() { ginsession.Update(s, "n", func(n string) string { return n + "x" }) }
		add()
		if err := s.Save(); !errors.Is(err, ginsession.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		add()
	})
	b := newBrowser(r)
	b.get("/set/a/1")
	store.after = func(ginsession.Record) error { return errors.New("the reply was lost") }
	wantBody(t, b, "/update", http.StatusServiceUnavailable, "Service Unavailable\n")
	store.after = nil
	wantBody(t, b, "/get/n", http.StatusOK, "x"+loaded)
}

// What is left of an ended or emptied session goes after a minute.
func TestStore_marksAreShortLived(t *testing.T) {
	store := &spy{Store: ginsession.NewMemcachedStore(memcachedtest.Start(t).Addr)}
	for _, path := range []string{"/logout", "/delete/a", "/renew"} {
		b := newBrowser(sessionApp(t, ginsession.WithStore(store)))
		b.get("/set/a/1")
		b.get(path)
		if left := time.Until(store.expires); left < 50*time.Second || left > time.Minute {
			t.Errorf("GET %s: the mark lives for %v, want about a minute", path, left)
		}
	}
}

// spy is a store whose calls are looked at, and whose replies can be lost.
type spy struct {
	ginsession.Store
	loads   int
	expires time.Time
	after   func(ginsession.Record) error // gives the error of a save that was done
}

func (s *spy) Load(ctx context.Context, id string) (ginsession.Record, error) {
	s.loads++
	return s.Store.Load(ctx, id)
}

func (s *spy) Save(ctx context.Context, id string, r ginsession.Record) error {
	s.expires = r.Expires
	err := s.Store.Save(ctx, id, r)
	if err == nil && s.after != nil {
		return s.after(r)
	}
	return err
}

// A server that stalls costs nobody more than a moment.
func TestMemcached_stalled(t *testing.T) {
	server := memcachedtest.Start(t)
	b := newBrowser(sessionApp(t, ginsession.WithMemcached(server.Addr)))
	b.get("/set/a/1")
	server.Pause()
	start, answers := time.Now(), make(chan int, 100)
	for i := range 100 {
		go func() {
			c := newBrowser(b.h)
			c.cookies["__Host-session"] = b.cookies["__Host-session"]
			answers <- c.get([]string{"/get/a", "/set/a/2"}[i%2]).Code
		}()
	}
	for range 100 {
		if status := <-answers; status != http.StatusServiceUnavailable {
			t.Errorf("got status %d, want 503", status)
		}
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("100 requests had their 503 after %v, want 3s at most", took)
	}
	start = time.Now()
	for range 20 {
		b.get("/get/a")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("20 requests one after the other took %v, want 2s at most", took)
	}
	server.Resume()
	for start = time.Now(); b.get("/get/a").Code != http.StatusOK; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 2*time.Second {
			t.Fatal("not back 2s after the server")
		}
	}
	// A save that was under way may have been done after all; a 503 says no
	// more than that nobody knows.
	if body := b.get("/get/a").Body.String(); body != "1"+loaded && body != "2"+loaded {
		t.Errorf("got %q, want the session with 1 or 2", body)
	}
}

func TestMemcached_tooLarge(t *testing.T) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	var seen error
	b := newBrowser(sessionApp(t, ginsession.WithMemcached(proxy.Addr), ginsession.WithErrorHandler(func(_ *gin.Context, err error) { seen = err })))
	b.get("/set/a/1")
	wantBody(t, b, "/large/1047000", http.StatusOK, "large")
	proxy.Asked()
	wantBody(t, b, "/large/1048000", http.StatusInternalServerError, "Internal Server Error\n")
	if asked := proxy.Asked(); len(asked) != 1 || !errors.Is(seen, ginsession.ErrTooLarge) {
		t.Errorf("asked %d times, want once, to load; error %v", len(asked), seen)
	}
	wantBody(t, b, "/get/a", http.StatusOK, "1"+loaded)
}

func TestMemcached_tooLargeForTheServer(t *testing.T) {
	server := memcachedtest.Start(t, "-I", "512k")
	var seen error
	b := newBrowser(sessionApp(t, ginsession.WithMemcached(server.Addr), ginsession.WithErrorHandler(func(_ *gin.Context, err error) { seen = err })))
	b.get("/set/a/1")
	wantBody(t, b, "/large/600000", http.StatusInternalServerError, "Internal Server Error\n")
	if !errors.Is(seen, ginsession.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", seen)
	}
	wantBody(t, b, "/get/a", http.StatusOK, "1"+loaded)
}

// A server that joins takes its own share of the sessions and no more.
func TestMemcached_fifthServer(t *testing.T) {
	servers := make([]string, 5)
	for i := range servers {
		servers[i] = memcachedtest.Start(t).Addr
	}
	four := sessionApp(t, ginsession.WithMemcached(servers[:4]...))
	slices.Reverse(servers) // the order does not matter
	five := sessionApp(t, ginsession.WithMemcached(servers...))
	const sessions = 1000
	stay := 0
	for range sessions {
		b := newBrowser(four)
		b.get("/set/a/1")
		b.h = five
		if strings.HasPrefix(b.get("/get/a").Body.String(), "1") {
			stay++
		}
	}
	t.Logf("%d of %d sessions stay", stay, sessions)
	if stay < sessions*75/100 {
		t.Errorf("%d of %d sessions stay, want 75 %%", stay, sessions)
	}
}

func TestMemcached_lifetimes(t *testing.T) {
	server := memcachedtest.Start(t)
	const day = 24 * time.Hour
	for _, lifetime := range []time.Duration{time.Second, 29 * day, 30 * day, 31 * day, 365 * day} {
		b := newBrowser(sessionApp(t, ginsession.WithMemcached(server.Addr), ginsession.WithLifetime(lifetime), ginsession.WithPermanent()))
		b.get("/set/a/1")
		b.get("/set/b/2")
		wantBody(t, b, "/get/a", http.StatusOK, "1"+loaded)
		if got := b.cookies["__Host-session"].MaxAge; got != int(lifetime/time.Second) {
			t.Errorf("lifetime %v: got Max-Age %d", lifetime, got)
		}
	}
}

func TestMemcached_anonymousReadsStoreNothing(t *testing.T) {
	server := memcachedtest.Start(t)
	r := sessionApp(t, ginsession.WithMemcached(server.Addr))
	for range 10000 {
		do(t, r, http.MethodGet, "/get/a")
	}
	if keys := server.Keys(); len(keys) != 0 {
		t.Errorf("the server holds %d records, want none", len(keys))
	}
}

// Many genuine ids of dead sessions do not make a request ask for each.
func TestMemcached_manyDeadCookies(t *testing.T) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	r := sessionApp(t, ginsession.WithMemcached(proxy.Addr))
	b := newBrowser(r)
	b.get("/set/a/1")
	dead := *b.cookies["__Host-session"]
	b.get("/logout")
	proxy.Asked()
	do(t, r, http.MethodGet, "/get/a", slices.Repeat([]*http.Cookie{&dead}, 100)...)
	if n := len(proxy.Asked()); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}

func TestMemcached_secretRotation(t *testing.T) {
	server := memcachedtest.Start(t)
	old := sessionApp(t, ginsession.WithMemcached(server.Addr))
	with := func(secret string, previous ...string) http.Handler {
		r := gin.New()
		r.Use(ginsession.Must(ginsession.New(secret, ginsession.WithMemcached(server.Addr), ginsession.WithPreviousSecrets(previous...))))
		r.GET("/set/:key/:value", func(c *gin.Context) { ginsession.From(c).Set(c.Param("key"), c.Param("value")) })
		r.GET("/get/:key", func(c *gin.Context) { c.String(http.StatusOK, ginsession.From(c).GetString(c.Param("key"))) })
		return r
	}
	const next = "the next secret of the tests, long enough"
	b := newBrowser(old)
	b.get("/set/a/1")
	b.h = with(next, secret)
	if w := b.get("/get/a"); w.Header().Get("Set-Cookie") != "" || w.Body.String() != "1" {
		t.Error("a read re-sealed the cookie, or lost the session")
	}
	if b.get("/set/b/2").Header().Get("Set-Cookie") == "" {
		t.Error("a write did not re-seal the cookie")
	}
	b.h = with(next)
	if got := b.get("/get/a").Body.String(); got != "1" {
		t.Errorf("got %q under the new secret alone, want 1", got)
	}
}

// After the headers have left, a server store still saves.
func TestMemcached_lateChanges(t *testing.T) {
	server := memcachedtest.Start(t)
	r := sessionApp(t, ginsession.WithMemcached(server.Addr))
	var late *ginsession.Session
	r.GET("/stream", func(c *gin.Context) {
		late = ginsession.From(c)
		late.Set("before", "1")
		c.Writer.Flush()
		late.Set("saved", "2")
		if err := late.Save(); err != nil {
			t.Errorf("Save after the headers: %v", err)
		}
		late.Set("atTheEnd", "3")
	})
	r.GET("/renewLate", func(c *gin.Context) {
		c.Writer.Flush()
		ginsession.From(c).Renew()
		if err := ginsession.From(c).Save(); !errors.Is(err, ginsession.ErrLate) {
			t.Errorf("Renew after the headers: got %v, want ErrLate", err)
		}
	})
	r.GET("/logoutLate", func(c *gin.Context) {
		c.Writer.Flush()
		ginsession.From(c).Destroy()
		if err := ginsession.From(c).Save(); err != nil {
			t.Errorf("Destroy after the headers: %v", err)
		}
	})
	b := newBrowser(r)
	wantLate := b.get("/stream") // creates the session before the flush
	if wantLate.Code != http.StatusOK {
		t.Fatal(wantLate.Code)
	}
	late.Set("afterwards", "4")
	if err := late.Save(); err != nil {
		t.Errorf("Save after the request: %v", err)
	}
	b.get("/renewLate")
	for key, want := range map[string]string{"before": "1", "saved": "2", "atTheEnd": "3", "afterwards": "4"} {
		wantBody(t, b, "/get/"+key, http.StatusOK, want+loaded)
	}
	b.get("/logoutLate")
	wantBody(t, b, "/get/before", http.StatusOK, " new=true rejected="+ginsession.ErrUnknown.Error())
}

// What cannot reach the browser any more does not keep the rest from being
// stored, once.
func TestMemcached_permanentAfterHeaders(t *testing.T) {
	r := sessionApp(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	r.GET("/late", func(c *gin.Context) {
		c.Writer.Flush()
		s := ginsession.From(c)
		s.SetPermanent(true)
		ginsession.Update(s, "n", func(n string) string { return n + "x" })
		if err := s.Save(); !errors.Is(err, ginsession.ErrLate) {
			t.Errorf("got %v, want ErrLate", err)
		}
		s.Set("other", "y")
	})
	b := newBrowser(r)
	b.get("/set/a/1")
	b.get("/late")
	wantBody(t, b, "/get/n", http.StatusOK, "x"+loaded)
	wantBody(t, b, "/get/other", http.StatusOK, "y"+loaded)
}

// Several commits in one request store each change once.
func TestMemcached_saveTwice(t *testing.T) {
	r := sessionApp(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	r.GET("/twice/:first", func(c *gin.Context) {
		s := ginsession.From(c)
		if c.Param("first") == "renew" {
			s.Renew()
		}
		for range 3 {
			ginsession.Update(s, "n", func(n string) string { return n + "x" })
			if err := s.Save(); err != nil {
				t.Error(err)
			}
		}
	})
	for _, first := range []string{"set", "renew"} {
		b := newBrowser(r)
		for range 2 {
			b.get("/twice/" + first)
		}
		wantBody(t, b, "/get/n", http.StatusOK, "xxxxxx"+loaded)
	}
}

func TestMemcached_newSessionAfterHeaders(t *testing.T) {
	server := memcachedtest.Start(t)
	var seen error
	r := sessionApp(t, ginsession.WithMemcached(server.Addr), ginsession.WithErrorHandler(func(_ *gin.Context, err error) { seen = err }))
	r.GET("/late", func(c *gin.Context) {
		c.Writer.Flush()
		ginsession.From(c).Set("a", 1)
	})
	newBrowser(r).get("/late")
	if !errors.Is(seen, ginsession.ErrLate) || len(server.Keys()) != 0 {
		t.Errorf("got %v, want ErrLate; %d records", seen, len(server.Keys()))
	}
}

func TestMemcached_hangUpDoesNotAbortTheCommit(t *testing.T) {
	server := memcachedtest.Start(t)
	r := sessionApp(t, ginsession.WithMemcached(server.Addr))
	ctx, hangUp := context.WithCancel(t.Context())
	r.GET("/hangup", func(c *gin.Context) {
		ginsession.From(c).Set("b", "2")
		hangUp()
	})
	b := newBrowser(r)
	b.get("/set/a/1")
	b.do(newRequest(ctx, "/hangup"))
	wantBody(t, b, "/get/b", http.StatusOK, "2"+loaded)
}

func newRequest(ctx context.Context, path string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		panic(err)
	}
	return req
}

// A goroutine that goes on after the request may be the first to use the
// session; by then net/http has cancelled the request's context.
func TestMemcached_firstUseAfterTheRequest(t *testing.T) {
	r := sessionApp(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	var copied *gin.Context
	r.GET("/copy", func(c *gin.Context) { copied = c.Copy() })
	b := newBrowser(r)
	b.get("/set/a/1")
	ctx, cancel := context.WithCancel(t.Context())
	b.do(newRequest(ctx, "/copy"))
	cancel()
	s := ginsession.From(copied)
	if got := s.GetString("a"); got != "1" || s.Err() != nil {
		t.Errorf("got %q, %v", got, s.Err())
	}
	s.Set("b", "2")
	if err := s.Save(); err != nil {
		t.Error(err)
	}
	wantBody(t, b, "/get/b", http.StatusOK, "2"+loaded)
}

func TestMemcached_destroyThenSet(t *testing.T) {
	server := memcachedtest.Start(t)
	r := sessionApp(t, ginsession.WithMemcached(server.Addr))
	r.GET("/bye", func(c *gin.Context) {
		ginsession.From(c).Destroy()
		ginsession.From(c).Set("bye", "yes")
	})
	b := newBrowser(r)
	b.get("/set/a/1")
	thief := newBrowser(r)
	thief.cookies["__Host-session"] = b.cookies["__Host-session"]
	b.get("/bye")
	wantBody(t, b, "/get/bye", http.StatusOK, "yes"+loaded)
	wantBody(t, b, "/get/a", http.StatusOK, loaded)
	wantBody(t, thief, "/get/a", http.StatusOK, " new=true rejected="+ginsession.ErrUnknown.Error())
}

func TestMemcached_idleTimeoutIsExtended(t *testing.T) {
	server := memcachedtest.Start(t)
	proxy := memcachedtest.StartProxy(t, server.Addr)
	idle := func(d time.Duration) http.Handler {
		return sessionApp(t, ginsession.WithMemcached(proxy.Addr), ginsession.WithIdleTimeout(d))
	}
	b := newBrowser(idle(time.Hour))
	b.get("/set/a/1")
	proxy.Asked()
	b.get("/get/a")
	if n := len(proxy.Asked()); n != 1 {
		t.Errorf("a read just after a write asked %d times, want once", n)
	}
	b.h = idle(2 * time.Hour) // as if an hour of two had passed
	if w := b.get("/get/a"); w.Header().Get("Set-Cookie") != "" {
		t.Error("a sign of life changed the cookie")
	}
	if asked := proxy.Asked(); len(asked) != 2 || !strings.HasPrefix(asked[1], "cas ") {
		t.Errorf("asked %d times, want twice: gets and cas", len(asked))
	}
}

func TestMemcached_configErrors(t *testing.T) {
	good := ginsession.NewMemcachedStore("127.0.0.1:11211")
	rows := []struct {
		opt    ginsession.Option
		option string
	}{
		{ginsession.WithMemcached(), "WithMemcached"},
		{ginsession.WithMemcached("localhost"), "WithMemcached"},
		{ginsession.WithMemcached(":11211"), "WithMemcached"},
		{ginsession.WithMemcached("localhost:x"), "WithMemcached"},
		{ginsession.WithMemcached("localhost:0"), "WithMemcached"},
		{ginsession.WithMemcached("localhost:65536"), "WithMemcached"},
		{ginsession.WithMemcached("does-not-exist.invalid:11211"), "WithMemcached"},
		{ginsession.WithMemcached("127.0.0.1:1", "127.0.0.1:1"), "WithMemcached"},
		{ginsession.WithMemcachedClient(nil), "WithMemcachedClient"},
		{ginsession.WithStore(nil), "WithStore"},
		{ginsession.WithKeyPrefix("x"), "WithKeyPrefix"},
	}
	for _, row := range rows {
		wantConfigError(t, row.option, row.opt)
	}
	wantConfigError(t, "WithKeyPrefix", ginsession.WithMemcached("127.0.0.1:1"), ginsession.WithKeyPrefix("a b"))
	wantConfigError(t, "WithKeyPrefix", ginsession.WithStore(good), ginsession.WithKeyPrefix("ab"))
	wantConfigError(t, "WithStore", ginsession.WithMemcached("127.0.0.1:1"), ginsession.WithStore(good))
}

func wantConfigError(t *testing.T, option string, opts ...ginsession.Option) {
	t.Helper()
	_, err := ginsession.New(secret, opts...)
	var mistake *ginsession.ConfigError
	if !errors.As(err, &mistake) || mistake.Option != option {
		t.Errorf("got %v, want a *ConfigError of %s", err, option)
	}
}

func TestMemcached_everyServerMistakeIsFound(t *testing.T) {
	_, err := ginsession.New(secret, ginsession.WithMemcached("a", "b", "127.0.0.1:11211", "c"))
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 3 {
		t.Errorf("got %v, want 3 mistakes", err)
	}
}
