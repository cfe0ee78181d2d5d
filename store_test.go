package ginsession_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/memstore"
)

// meeting is an app in which a slow request has loaded its session, and done
// something to it, before another one comes and goes; then it commits.
type meeting struct {
	*browser
	r *gin.Engine
}

func newMeeting(t *testing.T, opts ...ginsession.Option) *meeting {
	t.Helper()
	r := sessionApp(t, opts...)
	r.GET("/keys", func(c *gin.Context) {
		c.String(http.StatusOK, "%s", strings.Join(ginsession.From(c).Keys(), " "))
	})
	m := &meeting{newBrowser(r), r}
	m.get("/set/first/1")
	return m
}

// slow runs a request that does something, and meanwhile something else.
func (m *meeting) slow(t *testing.T, do func(*ginsession.Session), meanwhile func(other *browser)) (status int) {
	t.Helper()
	path := "/slow/" + t.Name()
	m.r.GET(path, func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		do(s)
		other := newBrowser(m.r)
		other.cookies["__Host-session"] = m.cookies["__Host-session"]
		meanwhile(other)
	})
	return m.get(path).Code
}

func setting(key string) func(*ginsession.Session) {
	return func(s *ginsession.Session) { s.Set(key, key) }
}

func visit(path string) func(*browser) { return func(b *browser) { b.get(path) } }

func TestStore_replay(t *testing.T) {
	addr := memcachedtest.Start(t).Addr
	sessionOver := func(b *browser) { b.get("/logout") }
	rows := []struct {
		name      string
		do        func(*ginsession.Session)
		meanwhile func(*browser)
		keys      string
	}{
		{"set, set", setting("mine"), visit("/set/other/1"), "first mine other"},
		{"set, set the same key", setting("mine"), visit("/set/mine/theirs"), "first mine"},
		{"set, delete", setting("mine"), visit("/delete/first"), "mine"},
		{"delete, set", func(s *ginsession.Session) { s.Delete("first") }, visit("/set/other/1"), "other"},
		{"delete, set it", func(s *ginsession.Session) { s.Delete("first") }, visit("/set/first/2"), ""},
		{"delete, delete", func(s *ginsession.Session) { s.Delete("first") }, visit("/delete/first"), ""},
		{"clear, set", (*ginsession.Session).Clear, visit("/set/other/1"), ""},
		{"clear and set, set", func(s *ginsession.Session) { s.Clear(); s.Set("mine", 1) }, visit("/set/other/1"), "mine"},
		{"permanent, set", func(s *ginsession.Session) { s.SetPermanent(true) }, visit("/set/other/1"), "first other"},
		{"renew, set", func(s *ginsession.Session) { s.Renew(); s.Set("mine", 1) }, visit("/set/other/1"), "first mine other"},
		{"renew, log out", func(s *ginsession.Session) { s.Renew(); s.Set("mine", 1) }, sessionOver, "mine"},
		{"renew, renew", func(s *ginsession.Session) { s.Renew(); s.Set("mine", 1) }, visit("/renew"), "mine"},
		{"destroy, set", (*ginsession.Session).Destroy, visit("/set/other/1"), ""},
		{"destroy, destroy", (*ginsession.Session).Destroy, sessionOver, ""},
		{"destroy and set, set", func(s *ginsession.Session) { s.Destroy(); s.Set("mine", 1) }, visit("/set/other/1"), "mine"},
		{"set, log out", setting("mine"), sessionOver, ""},
		{"update a deleted key, set", func(s *ginsession.Session) {
			s.Delete("first")
			ginsession.Update(s, "first", func(v string) string { return v + "x" })
		}, visit("/set/first/2"), "first"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m := newMeeting(t, ginsession.WithMemcached(addr))
			before := m.cookies["__Host-session"]
			if status := m.slow(t, row.do, row.meanwhile); status != http.StatusOK {
				t.Errorf("got status %d", status)
			}
			if got := m.get("/keys").Body.String(); got != row.keys {
				t.Errorf("got keys %q, want %q", got, row.keys)
			}
			old := newBrowser(m.r)
			old.cookies["__Host-session"] = before
			if got := old.get("/keys").Body.String(); got != "" && (strings.Contains(row.name, "renew,") || strings.Contains(row.name, "destroy")) {
				t.Errorf("the old id is still good for %q", got)
			}
		})
	}
}

func TestStore_replaySameKeyLastCommitWins(t *testing.T) {
	m := newMeeting(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	m.slow(t, setting("key"), visit("/set/key/theirs"))
	wantBody(t, m.browser, "/get/key", http.StatusOK, "key"+loaded)
}

func TestStore_replayPermanentSendsTheCookie(t *testing.T) {
	m := newMeeting(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	m.slow(t, func(s *ginsession.Session) { s.SetPermanent(true) }, visit("/set/other/1"))
	if m.cookies["__Host-session"].MaxAge == 0 {
		t.Error("the browser was not told to keep the cookie")
	}
}

// A log-in leaves nothing behind under the ids that it tried.
func TestStore_renewLeavesNoOrphans(t *testing.T) {
	server := memcachedtest.Start(t)
	m := newMeeting(t, ginsession.WithMemcached(server.Addr))
	m.slow(t, (*ginsession.Session).Renew, visit("/set/other/1"))
	if n := len(server.Keys()); n != 2 { // the session and the mark of the old one
		t.Errorf("the server holds %d records, want 2", n)
	}
}

// An update that works at first and not when it is done again.
func TestStore_replayRefused(t *testing.T) {
	for _, renew := range []bool{false, true} {
		m := newMeeting(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
		runs := 0
		status := m.slow(t, func(s *ginsession.Session) {
			if renew {
				s.Renew()
			}
			ginsession.Update(s, "first", func(any) any {
				if runs++; runs > 1 {
					return make(chan int)
				}
				return runs
			})
		}, visit("/set/other/1"))
		if status != http.StatusInternalServerError || runs != 2 {
			t.Errorf("renew %v: got status %d after %d runs, want 500 after 2", renew, status, runs)
		}
		wantBody(t, m.browser, "/get/first", http.StatusOK, "1"+loaded)
		wantBody(t, m.browser, "/get/other", http.StatusOK, "1"+loaded)
	}
}

func TestStore_goneMeanwhile(t *testing.T) {
	server := memcachedtest.Start(t)
	restart := func(*browser) { server.Kill(); server.Restart() }
	rows := []struct {
		name string
		do   func(*ginsession.Session)
		keys string
	}{
		{"set", setting("mine"), ""},
		{"delete", func(s *ginsession.Session) { s.Delete("first") }, ""},
		{"renew", (*ginsession.Session).Renew, ""},
		{"renew and set", func(s *ginsession.Session) { s.Renew(); s.Set("mine", 1) }, "mine"},
		{"destroy", (*ginsession.Session).Destroy, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m := newMeeting(t, ginsession.WithMemcached(server.Addr))
			if status := m.slow(t, row.do, restart); status != http.StatusOK {
				t.Errorf("got status %d", status)
			}
			if got := m.get("/keys").Body.String(); got != row.keys {
				t.Errorf("got keys %q, want %q", got, row.keys)
			}
		})
	}
}

// The server goes away between load and commit.
func TestStore_downMeanwhile(t *testing.T) {
	server := memcachedtest.Start(t)
	rows := []struct {
		name    string
		do      func(*ginsession.Session)
		expired bool
	}{
		{"set", setting("mine"), false},
		{"renew", (*ginsession.Session).Renew, false},
		{"destroy", (*ginsession.Session).Destroy, true},
		{"destroy and set", func(s *ginsession.Session) { s.Destroy(); s.Set("mine", 1) }, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m := newMeeting(t, ginsession.WithMemcached(server.Addr))
			cookie := m.cookies["__Host-session"]
			status := m.slow(t, row.do, func(*browser) { server.Kill() })
			server.Restart()
			if status != http.StatusServiceUnavailable {
				t.Errorf("got status %d, want 503", status)
			}
			if now := m.cookies["__Host-session"]; row.expired && now != nil || !row.expired && now != cookie {
				t.Errorf("cookie expired: %v, want %v", now == nil, row.expired)
			}
		})
	}
}

// never is a store in which somebody else is always faster.
type never struct{}

func (never) Load(context.Context, string) (ginsession.Record, error) {
	return ginsession.Record{}, ginsession.ErrNotFound
}
func (never) Save(context.Context, string, ginsession.Record) error { return ginsession.ErrConflict }
func (never) Delete(context.Context, string) error                  { return nil }

// faster is never, but for the first load and save.
type faster struct{ ginsession.Store }

func (faster) Save(context.Context, string, ginsession.Record) error { return ginsession.ErrConflict }

// A request does not compete for ever.
func TestStore_contentionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := memstore.New()
		b := newBrowser(sessionApp(t, ginsession.WithStore(kept)))
		b.get("/set/a/1")
		b.h = sessionApp(t, ginsession.WithStore(faster{kept}))
		for _, path := range []string{"/set/a/2", "/logout", "/renew"} {
			cookie := b.cookies["__Host-session"]
			start := time.Now()
			if status := b.get(path).Code; status == http.StatusOK {
				t.Errorf("GET %s: got 200, want an error", path)
			}
			if took := time.Since(start); took > 6*time.Second {
				t.Errorf("GET %s: competed for %v, want about 5s", path, took)
			}
			b.cookies["__Host-session"] = cookie
		}
	})
}

// late drops records an hour after they expire.
type late struct{ ginsession.Store }

func (l late) Save(ctx context.Context, id string, r ginsession.Record) error {
	r.Expires = r.Expires.Add(time.Hour)
	return l.Store.Save(ctx, id, r)
}

// A record that outlives its session, in a store that is late to drop it, is
// none.
func TestStore_expiredRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(sessionApp(t, ginsession.WithStore(late{memstore.New()}), ginsession.WithLifetime(time.Hour)))
		b.get("/set/a/1")
		time.Sleep(time.Hour - time.Nanosecond)
		wantBody(t, b, "/get/a", http.StatusOK, "1"+loaded)
		time.Sleep(time.Nanosecond)
		wantBody(t, b, "/get/a", http.StatusOK, " new=true rejected="+ginsession.ErrExpired.Error())
	})
}

func TestStore_forgedIDs(t *testing.T) {
	r := sessionApp(t, ginsession.WithStore(never{}))
	for _, value := range []string{"", "x", strings.Repeat("A", 75), strings.Repeat("=", 75), strings.Repeat("A", 5000)} {
		w := do(t, r, http.MethodGet, "/get/a", &http.Cookie{Name: "__Host-session", Value: value})
		if want := " new=true rejected=" + ginsession.ErrInvalid.Error(); w.Body.String() != want {
			t.Errorf("a cookie of %d bytes: got %q, want %q", len(value), w.Body, want)
		}
	}
}

func TestStore_canNotBeginASession(t *testing.T) {
	var seen error
	b := newBrowser(sessionApp(t, ginsession.WithStore(never{}), ginsession.WithErrorHandler(func(_ *gin.Context, err error) { seen = err })))
	if w := b.get("/set/a/1"); w.Code == http.StatusOK || len(b.cookies) != 0 || !errors.Is(seen, ginsession.ErrConflict) {
		t.Errorf("got status %d, %d cookies and %v", w.Code, len(b.cookies), seen)
	}
}

// A middleware of the app's can keep handlers from running while nobody knows
// who is there.
func TestStore_downAborts(t *testing.T) {
	r := newEngine(t, ginsession.WithStore(silent{}))
	r.Use(func(c *gin.Context) {
		if s := ginsession.From(c); s.Len() == 0 && s.Err() != nil {
			c.Abort()
		}
	})
	ran := false
	r.GET("/", func(*gin.Context) { ran = true })
	k := cookieOf(t, mustNew(t, secret, ginsession.WithStore(memstore.New())), "ann")
	if w := do(t, r, http.MethodGet, "/", k); w.Code != http.StatusServiceUnavailable || ran {
		t.Errorf("got status %d, handler ran %t, want 503 and not", w.Code, ran)
	}
	if w := do(t, r, http.MethodGet, "/"); w.Code != http.StatusOK || !ran {
		t.Errorf("without a cookie: got status %d, handler ran %t, want 200", w.Code, ran)
	}
}

// silent is a store that does not answer.
type silent struct{ never }

func (silent) Load(context.Context, string) (ginsession.Record, error) {
	return ginsession.Record{}, errors.New("no answer")
}
