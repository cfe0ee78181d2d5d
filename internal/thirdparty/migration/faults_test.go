package migration_test

import (
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memcached"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
)

// The tests below show what goes wrong with gin-contrib/sessions, and that it
// does not go wrong here. docs/MIGRATION.md claims no more.

const (
	theirs = "gin-contrib/sessions"
	ours   = "ginsession"
)

// app serves GET requests.
type app map[string]gin.HandlerFunc

func (a app) behind(middleware ...gin.HandlerFunc) http.Handler {
	r := gin.New()
	r.Use(gin.RecoveryWithWriter(io.Discard))
	r.Use(middleware...)
	for path, handler := range a {
		r.GET(path, handler)
	}
	return r
}

func contrib(store sessions.Store) gin.HandlerFunc {
	return sessions.Sessions("mysession", store)
}

func contribCookie() sessions.Store { return cookie.NewStore([]byte(secret)) }

func contribMemcached(addr string) sessions.Store {
	return memcached.NewStore(memcache.New(addr), "", []byte(secret))
}

func our(t *testing.T, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	m, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// user is somebody's browser without a network: cookies by their name.
type user struct {
	h       http.Handler
	cookies map[string]string
}

func newUser(h http.Handler) *user { return &user{h, map[string]string{}} }

// get sends a request with the cookies and takes in those that come back.
func (u *user) get(path string) *http.Response {
	resp := u.send(path, maps.Clone(u.cookies))
	u.take(resp)
	return resp
}

func (u *user) send(path string, cookies map[string]string) *http.Response {
	req := httptest.NewRequest(http.MethodGet, path, nil)
	for name, value := range cookies {
		req.Header.Add("Cookie", name+"="+value)
	}
	w := httptest.NewRecorder()
	u.h.ServeHTTP(w, req)
	return w.Result()
}

func (u *user) take(resp *http.Response) {
	for _, k := range resp.Cookies() {
		if k.MaxAge < 0 {
			delete(u.cookies, k.Name)
			continue
		}
		u.cookies[k.Name] = k.Value
	}
}

func (u *user) body(path string) string { return text(u.get(path)) }

func text(resp *http.Response) string {
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// quiet keeps what gin-contrib/sessions logs out of the output.
func quiet(t *testing.T) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(before) })
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// Handlers for both.

func theirSet(key string, value any) gin.HandlerFunc {
	return func(c *gin.Context) {
		s := sessions.Default(c)
		s.Set(key, value)
		if err := s.Save(); err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
		}
	}
}

func theirShow(keys ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		s := sessions.Default(c)
		for _, key := range keys {
			value, _ := s.Get(key).(string)
			c.String(http.StatusOK, "%s=%s ", key, value)
		}
	}
}

func ourSet(key string, value any) gin.HandlerFunc {
	return func(c *gin.Context) { ginsession.From(c).Set(key, value) }
}

func ourShow(keys ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		s := ginsession.From(c)
		for _, key := range keys {
			c.String(http.StatusOK, "%s=%s ", key, s.GetString(key))
		}
	}
}

func TestFault_setAfterTheResponse(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		var saved error
		u := newUser(app{"/show": theirShow("a"), "/set": func(c *gin.Context) {
			c.String(http.StatusOK, "done")
			s := sessions.Default(c)
			s.Set("a", "1")
			saved = s.Save()
		}}.behind(contrib(contribCookie())))
		want(t, "status", u.get("/set").StatusCode, http.StatusOK)
		want(t, "Save", saved, nil)
		want(t, "later", u.body("/show"), "a= ")
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/show": ourShow("a"), "/set": func(c *gin.Context) {
			c.String(http.StatusOK, "done")
			ginsession.From(c).Set("a", "1")
		}}.behind(our(t)))
		want(t, "status", u.get("/set").StatusCode, http.StatusOK)
		want(t, "later", u.body("/show"), "a=1 ")
	})
}

func TestFault_forgottenSave(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		u := newUser(app{"/show": theirShow("a"), "/set": func(c *gin.Context) {
			sessions.Default(c).Set("a", "1")
		}}.behind(contrib(contribCookie())))
		want(t, "status", u.get("/set").StatusCode, http.StatusOK)
		want(t, "later", u.body("/show"), "a= ")
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/show": ourShow("a"), "/set": ourSet("a", "1")}.behind(our(t)))
		u.get("/set")
		want(t, "later", u.body("/show"), "a=1 ")
	})
}

func TestFault_flashesAreShownAgain(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		u := newUser(app{
			"/add": func(c *gin.Context) {
				s := sessions.Default(c)
				s.AddFlash("Saved")
				_ = s.Save()
			},
			"/show": func(c *gin.Context) { c.String(http.StatusOK, "%v", sessions.Default(c).Flashes()) },
		}.behind(contrib(contribCookie())))
		u.get("/add")
		want(t, "first page", u.body("/show"), "[Saved]")
		want(t, "second page", u.body("/show"), "[Saved]")
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{
			"/add":  func(c *gin.Context) { ginsession.From(c).AddFlash("Saved", "") },
			"/show": func(c *gin.Context) { c.String(http.StatusOK, "%d", len(ginsession.From(c).Flashes())) },
		}.behind(our(t)))
		u.get("/add")
		want(t, "first page", u.body("/show"), "1")
		want(t, "second page", u.body("/show"), "0")
	})
}

func TestFault_assertionPanics(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		u := newUser(app{"/": func(c *gin.Context) {
			c.String(http.StatusOK, "%d", sessions.Default(c).Get("n").(int))
		}}.behind(contrib(contribCookie())))
		want(t, "status", u.get("/").StatusCode, http.StatusInternalServerError)
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/": func(c *gin.Context) {
			c.String(http.StatusOK, "%d", ginsession.From(c).GetInt("n"))
		}}.behind(our(t)))
		want(t, "status", u.get("/").StatusCode, http.StatusOK)
	})
}

// slowly makes a handler of two halves. Between them it tells, and waits.
type slowly struct{ loaded, goOn chan struct{} }

func newSlowly() slowly { return slowly{make(chan struct{}), make(chan struct{})} }

func (s slowly) handler(first, second gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		first(c)
		close(s.loaded)
		<-s.goOn
		second(c)
	}
}

// around sends the slow request and calls fn between its halves.
func (s slowly) around(u *user, path string, fn func()) {
	cookies := maps.Clone(u.cookies)
	var resp *http.Response
	var wait sync.WaitGroup
	wait.Go(func() { resp = u.send(path, cookies) })
	<-s.loaded
	fn()
	close(s.goOn)
	wait.Wait()
	u.take(resp)
}

func TestFault_parallelRequestsLoseChanges(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		slow := newSlowly()
		u := newUser(app{
			"/begin": theirSet("user", "Ada"), "/fast": theirSet("fast", "1"), "/show": theirShow("user", "fast", "slow"),
			"/slow": slow.handler(func(c *gin.Context) { sessions.Default(c).Get("user") }, theirSet("slow", "1")),
		}.behind(contrib(contribMemcached(memcachedtest.Start(t).Addr))))
		u.get("/begin")
		slow.around(u, "/slow", func() { want(t, "fast", u.get("/fast").StatusCode, http.StatusOK) })
		want(t, "later", u.body("/show"), "user=Ada fast= slow=1 ")
	})
	t.Run(ours, func(t *testing.T) {
		slow := newSlowly()
		u := newUser(app{
			"/begin": ourSet("user", "Ada"), "/fast": ourSet("fast", "1"), "/show": ourShow("user", "fast", "slow"),
			"/slow": slow.handler(func(c *gin.Context) { ginsession.From(c).Get("user") }, ourSet("slow", "1")),
		}.behind(our(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))))
		u.get("/begin")
		slow.around(u, "/slow", func() { want(t, "fast", u.get("/fast").StatusCode, http.StatusOK) })
		want(t, "later", u.body("/show"), "user=Ada fast=1 slow=1 ")
	})
}

func TestFault_slowRequestBringsALoggedOutSessionBack(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		slow := newSlowly()
		u := newUser(app{
			"/begin": theirSet("user", "Ada"), "/show": theirShow("user"),
			"/logout": func(c *gin.Context) {
				s := sessions.Default(c)
				s.Clear()
				s.Options(sessions.Options{Path: "/", MaxAge: -1})
				want(t, "log-out", s.Save(), nil)
			},
			"/slow": slow.handler(func(c *gin.Context) { sessions.Default(c).Get("user") }, theirSet("slow", "1")),
		}.behind(contrib(contribMemcached(memcachedtest.Start(t).Addr))))
		u.get("/begin")
		slow.around(u, "/slow", func() {
			u.get("/logout")
			want(t, "after the log-out", u.body("/show"), "user= ")
		})
		want(t, "after the slow request", u.body("/show"), "user=Ada ")
	})
	t.Run(ours, func(t *testing.T) {
		slow := newSlowly()
		u := newUser(app{
			"/begin": ourSet("user", "Ada"), "/show": ourShow("user"),
			"/logout": func(c *gin.Context) { ginsession.From(c).Destroy() },
			"/slow":   slow.handler(func(c *gin.Context) { ginsession.From(c).Get("user") }, ourSet("slow", "1")),
		}.behind(our(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))))
		u.get("/begin")
		stolen := maps.Clone(u.cookies)
		slow.around(u, "/slow", func() {
			u.get("/logout")
			want(t, "after the log-out", u.body("/show"), "user= ")
		})
		want(t, "after the slow request", u.body("/show"), "user= ")
		want(t, "with the old cookie", text(u.send("/show", stolen)), "user= ")
	})
}

// An attacker begins a session, plants its cookie in the victim's browser and
// waits for the log-in.
func TestFault_fixation(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		h := app{"/begin": theirSet("item", "tea"), "/login": theirSet("user", "Ada"), "/show": theirShow("user")}.
			behind(contrib(contribMemcached(memcachedtest.Start(t).Addr)))
		attacker, victim := newUser(h), newUser(h)
		attacker.get("/begin")
		victim.cookies = maps.Clone(attacker.cookies)
		victim.get("/login")
		want(t, "the attacker", attacker.body("/show"), "user=Ada ")
	})
	t.Run(ours, func(t *testing.T) {
		h := app{"/begin": ourSet("item", "tea"), "/show": ourShow("user"), "/login": func(c *gin.Context) {
			s := ginsession.From(c)
			s.Renew()
			s.Set("user", "Ada")
		}}.behind(our(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr)))
		attacker, victim := newUser(h), newUser(h)
		attacker.get("/begin")
		victim.cookies = maps.Clone(attacker.cookies)
		victim.get("/login")
		want(t, "the attacker", attacker.body("/show"), "user= ")
		want(t, "the victim", victim.body("/show"), "user=Ada ")
	})
}

// The error of Save is easily dropped, and the page says that all is well.
func TestFault_tooLargeIsLost(t *testing.T) {
	long := strings.Repeat("x", 5000)
	t.Run(theirs, func(t *testing.T) {
		u := newUser(app{"/show": theirShow("a"), "/set": func(c *gin.Context) {
			s := sessions.Default(c)
			s.Set("a", long)
			s.Save()
			c.String(http.StatusOK, "saved")
		}}.behind(contrib(contribCookie())))
		want(t, "page", u.body("/set"), "saved")
		want(t, "later", u.body("/show"), "a= ")
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/show": ourShow("a"), "/set": func(c *gin.Context) {
			ginsession.From(c).Set("a", long)
			c.String(http.StatusOK, "saved")
		}}.behind(our(t)))
		resp := u.get("/set")
		want(t, "status", resp.StatusCode, http.StatusInternalServerError)
		want(t, "page", text(resp), "Internal Server Error\n")
	})
}

// Browsers need take no more than 4096 bytes of a line; Chromium counts name
// and value, and drops the rest silently.
func TestFault_linesThatBrowsersDrop(t *testing.T) {
	const browserTakes = 4096
	t.Run(theirs, func(t *testing.T) {
		for size := 2000; ; size++ {
			h := app{"/set": theirSet("a", strings.Repeat("x", size))}.
				behind(sessions.Sessions("the_session_of_our_shop", contribCookie()))
			resp := newUser(h).get("/set")
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("Save refused %d bytes before a line was too long", size)
			}
			name, value, _ := strings.Cut(strings.Split(resp.Header.Get("Set-Cookie"), ";")[0], "=")
			if len(name+value) > browserTakes {
				return // Save returned nil
			}
		}
	})
	t.Run(ours, func(t *testing.T) {
		for size := 2500; ; size++ {
			resp := newUser(app{"/set": ourSet("a", strings.Repeat("x", size))}.behind(our(t))).get("/set")
			if resp.StatusCode == http.StatusInternalServerError {
				return
			}
			if n := len(resp.Header.Get("Set-Cookie")); n > browserTakes {
				t.Fatalf("got a line of %d bytes", n)
			}
		}
	})
}

func TestFault_memcachedTakes4096BytesOnly(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	t.Run(theirs, func(t *testing.T) {
		h := app{"/set": theirSet("a", long)}.behind(contrib(contribMemcached(memcachedtest.Start(t).Addr)))
		want(t, "status", newUser(h).get("/set").StatusCode, http.StatusInternalServerError)
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/set": ourSet("a", long), "/show": ourShow("a")}.
			behind(our(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))))
		want(t, "status", u.get("/set").StatusCode, http.StatusOK)
		want(t, "later", u.body("/show"), "a="+long+" ")
	})
}

func TestFault_maxAgeDoesNotEndTheSession(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := contribCookie()
			store.Options(sessions.Options{Path: "/", MaxAge: 3600})
			u := newUser(app{"/begin": theirSet("user", "Ada"), "/show": theirShow("user")}.behind(contrib(store)))
			u.get("/begin")
			time.Sleep(29 * 24 * time.Hour)
			want(t, "a copy of the cookie after 29 days", u.body("/show"), "user=Ada ")
		})
	})
	t.Run(ours, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			u := newUser(app{"/begin": ourSet("user", "Ada"), "/show": ourShow("user")}.
				behind(our(t, ginsession.WithPermanent(), ginsession.WithLifetime(time.Hour))))
			u.get("/begin")
			time.Sleep(59 * time.Minute)
			want(t, "after 59 minutes", u.body("/show"), "user=Ada ")
			time.Sleep(2 * time.Minute)
			want(t, "a copy of the cookie after 61 minutes", u.body("/show"), "user= ")
		})
	})
}

func TestFault_noCookieLives31Days(t *testing.T) {
	const days = 90
	t.Run(theirs, func(t *testing.T) {
		quiet(t)
		synctest.Test(t, func(t *testing.T) {
			store := contribCookie()
			store.Options(sessions.Options{Path: "/", MaxAge: days * 24 * 3600})
			u := newUser(app{"/begin": theirSet("user", "Ada"), "/show": theirShow("user")}.behind(contrib(store)))
			u.get("/begin")
			time.Sleep(31 * 24 * time.Hour)
			want(t, "after 31 days", u.body("/show"), "user= ")
		})
	})
	t.Run(ours, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			u := newUser(app{"/begin": ourSet("user", "Ada"), "/show": ourShow("user")}.
				behind(our(t, ginsession.WithPermanent(), ginsession.WithLifetime(days*24*time.Hour))))
			u.get("/begin")
			time.Sleep(89 * 24 * time.Hour)
			want(t, "after 89 days", u.body("/show"), "user=Ada ")
		})
	})
}

// Memcached takes more than 30 days for a date, in 1970.
func TestFault_memcachedForgets31DaysAtOnce(t *testing.T) {
	const days = 31
	t.Run(theirs, func(t *testing.T) {
		quiet(t)
		store := contribMemcached(memcachedtest.Start(t).Addr)
		store.Options(sessions.Options{Path: "/", MaxAge: days * 24 * 3600})
		u := newUser(app{"/begin": theirSet("user", "Ada"), "/show": theirShow("user")}.behind(contrib(store)))
		want(t, "log-in", u.get("/begin").StatusCode, http.StatusOK)
		want(t, "at once", u.body("/show"), "user= ")
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/begin": ourSet("user", "Ada"), "/show": ourShow("user")}.
			behind(our(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr),
				ginsession.WithPermanent(), ginsession.WithLifetime(days*24*time.Hour))))
		u.get("/begin")
		want(t, "at once", u.body("/show"), "user=Ada ")
	})
}

// To remember somebody, one option is set, and the others fall back.
func TestFault_optionsForgetTheOthers(t *testing.T) {
	attributes := []string{"Path=/", "HttpOnly", "Secure", "SameSite=Lax"}
	has := func(resp *http.Response, attribute string) bool {
		return strings.Contains(resp.Header.Get("Set-Cookie"), "; "+attribute)
	}
	t.Run(theirs, func(t *testing.T) {
		store := contribCookie()
		store.Options(sessions.Options{Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
		u := newUser(app{"/begin": theirSet("user", "Ada"), "/remember": func(c *gin.Context) {
			s := sessions.Default(c)
			s.Options(sessions.Options{MaxAge: 3600})
			_ = s.Save()
		}}.behind(contrib(store)))
		for _, a := range attributes {
			want(t, a+" before", has(u.get("/begin"), a), true)
			want(t, a+" after", has(u.get("/remember"), a), false)
		}
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/remember": func(c *gin.Context) {
			s := ginsession.From(c)
			s.Set("user", "Ada")
			s.SetPermanent(true)
		}}.behind(our(t)))
		resp := u.get("/remember")
		for _, a := range append(attributes, "Max-Age=") {
			want(t, a, has(resp, a), true)
		}
	})
}

func TestFault_nextSaveForgetsToRemember(t *testing.T) {
	isRemembered := func(resp *http.Response) bool {
		return strings.Contains(resp.Header.Get("Set-Cookie"), "; Max-Age=")
	}
	t.Run(theirs, func(t *testing.T) {
		store := contribCookie()
		store.Options(sessions.Options{Path: "/"})
		u := newUser(app{"/set": theirSet("item", "tea"), "/login": func(c *gin.Context) {
			s := sessions.Default(c)
			s.Set("user", "Ada")
			s.Options(sessions.Options{Path: "/", MaxAge: 3600})
			_ = s.Save()
		}}.behind(contrib(store)))
		want(t, "log-in", isRemembered(u.get("/login")), true)
		want(t, "next change", isRemembered(u.get("/set")), false)
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/set": ourSet("item", "tea"), "/login": func(c *gin.Context) {
			s := ginsession.From(c)
			s.Set("user", "Ada")
			s.SetPermanent(true)
		}}.behind(our(t)))
		want(t, "log-in", isRemembered(u.get("/login")), true)
		want(t, "next change", isRemembered(u.get("/set")), true)
	})
}

// decoded undoes base64 as far as it goes, again and again.
func decoded(value string) (all string) {
	for range 3 {
		raw, _ := base64.URLEncoding.DecodeString(value + strings.Repeat("=", -len(value)&3))
		all += string(raw)
		if parts := strings.Split(string(raw), "|"); len(parts) > 1 {
			value = parts[1]
		}
	}
	return all
}

func TestFault_everybodyCanReadTheCookie(t *testing.T) {
	const private = "a private matter"
	t.Run(theirs, func(t *testing.T) {
		u := newUser(app{"/set": theirSet("note", private)}.behind(contrib(contribCookie())))
		u.get("/set")
		want(t, "readable", strings.Contains(decoded(u.cookies["mysession"]), private), true)
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/set": ourSet("note", private)}.behind(our(t)))
		u.get("/set")
		want(t, "readable", strings.Contains(decoded(u.cookies["__Host-session"]), private), false)
	})
}

func TestFault_weakSecrets(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		u := newUser(app{"/set": theirSet("a", "1"), "/show": theirShow("a")}.behind(contrib(cookie.NewStore([]byte("secret")))))
		u.get("/set")
		want(t, "later", u.body("/show"), "a=1 ")
	})
	t.Run(theirs+" without one", func(t *testing.T) { // starts, and fails in each request that saves
		u := newUser(app{"/set": theirSet("a", "1")}.behind(contrib(cookie.NewStore([]byte("")))))
		want(t, "status", u.get("/set").StatusCode, http.StatusInternalServerError)
	})
	t.Run(ours, func(t *testing.T) {
		for _, weak := range []string{"secret", ""} {
			_, err := ginsession.New(weak)
			var mistake *ginsession.ConfigError
			want(t, "refused at start", errors.As(err, &mistake), true)
		}
	})
}

func TestFault_structsNeedRegistration(t *testing.T) {
	type point struct{ X, Y int }
	t.Run(theirs, func(t *testing.T) {
		var saved error
		u := newUser(app{"/show": theirShow("user"), "/set": func(c *gin.Context) {
			s := sessions.Default(c)
			s.Set("user", "Ada")
			s.Set("at", point{1, 2})
			saved = s.Save()
		}}.behind(contrib(contribCookie())))
		u.get("/set")
		want(t, "saved", saved == nil, false)
		want(t, "the rest", u.body("/show"), "user= ")
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/set": ourSet("at", point{1, 2}), "/show": func(c *gin.Context) {
			at, ok := ginsession.Get[point](ginsession.From(c), "at")
			c.String(http.StatusOK, "%v %t", at, ok)
		}}.behind(our(t)))
		u.get("/set")
		want(t, "later", u.body("/show"), "{1 2} true")
	})
}

// Memcached fails to answer one read. A visitor looks like a stranger, whatever
// the handler saves then takes the place of the session.
func TestFault_oneFailedReadWipesTheSession(t *testing.T) {
	failGets := func(request string, reply []byte) memcachedtest.Reply {
		if strings.HasPrefix(request, "get") {
			return memcachedtest.Reply{Data: []byte("SERVER_ERROR out of order\r\n"), Close: true}
		}
		return memcachedtest.Reply{Data: reply}
	}
	t.Run(theirs, func(t *testing.T) {
		quiet(t)
		proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
		u := newUser(app{"/begin": theirSet("user", "Ada"), "/set": theirSet("item", "tea"), "/show": theirShow("user", "item")}.
			behind(contrib(contribMemcached(proxy.Addr))))
		u.get("/begin")
		proxy.Answer(failGets)
		want(t, "status", u.get("/set").StatusCode, http.StatusOK)
		proxy.Answer(nil)
		want(t, "later", u.body("/show"), "user= item=tea ")
	})
	t.Run(ours, func(t *testing.T) {
		proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
		u := newUser(app{"/begin": ourSet("user", "Ada"), "/set": ourSet("item", "tea"), "/show": ourShow("user", "item")}.
			behind(our(t, ginsession.WithMemcached(proxy.Addr))))
		u.get("/begin")
		proxy.Answer(failGets)
		want(t, "status", u.get("/set").StatusCode, http.StatusServiceUnavailable)
		proxy.Answer(nil)
		want(t, "later", u.body("/show"), "user=Ada item= ")
	})
}

func TestFault_secondMiddlewareHidesTheFirst(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		h := app{"/set": theirSet("a", "1")}.behind(contrib(contribCookie()), sessions.Sessions("other", contribCookie()))
		cookies := newUser(h).get("/set").Cookies()
		want(t, "cookies", len(cookies), 1)
		want(t, "cookie", cookies[0].Name, "other")
	})
	t.Run(ours, func(t *testing.T) {
		h := app{"/set": func(c *gin.Context) {
			ginsession.From(c).Set("a", "1")
			c.MustGet("other").(*ginsession.Session).Set("a", "2")
		}}.behind(our(t), our(t, ginsession.WithName("other"), ginsession.WithContextKey("other")))
		want(t, "cookies", len(newUser(h).get("/set").Cookies()), 2)
	})
}

// A neighbouring subdomain can plant a cookie that the browser sends first.
func TestFault_plantedCookieLocksOut(t *testing.T) {
	planted := func(u *user, path, name string) string {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		req.Header.Set("Cookie", name+"=planted; "+name+"="+u.cookies[name])
		w := httptest.NewRecorder()
		u.h.ServeHTTP(w, req)
		return w.Body.String()
	}
	t.Run(theirs, func(t *testing.T) {
		quiet(t)
		u := newUser(app{"/begin": theirSet("user", "Ada"), "/show": theirShow("user")}.behind(contrib(contribCookie())))
		u.get("/begin")
		want(t, "with a planted cookie", planted(u, "/show", "mysession"), "user= ")
	})
	t.Run(ours, func(t *testing.T) {
		u := newUser(app{"/begin": ourSet("user", "Ada"), "/show": ourShow("user")}.behind(our(t, ginsession.WithName("mysession"))))
		u.get("/begin")
		want(t, "with a planted cookie", planted(u, "/show", "mysession"), "user=Ada ")
	})
}

func TestFault_cachesMayKeepTheCookie(t *testing.T) {
	t.Run(theirs, func(t *testing.T) {
		h := newUser(app{"/set": theirSet("a", "1")}.behind(contrib(contribCookie()))).get("/set").Header
		want(t, "headers", h.Get("Cache-Control")+h.Get("Vary"), "")
	})
	t.Run(ours, func(t *testing.T) {
		h := newUser(app{"/set": ourSet("a", "1")}.behind(our(t))).get("/set").Header
		want(t, "headers", h.Get("Cache-Control")+" "+h.Get("Vary"), "no-store Cookie")
	})
}

// Those who are logged in when a site moves: neither reads the other's cookie.
func TestMove_oldCookies(t *testing.T) {
	rejected := func(c *gin.Context) {
		c.String(http.StatusOK, strconv.FormatBool(errors.Is(ginsession.From(c).Rejected(), ginsession.ErrInvalid)))
	}
	oldApp := app{"/begin": theirSet("user", "Ada"), "/show": theirShow("user")}.behind(contrib(contribCookie()))
	newApp := func(t *testing.T, opts ...ginsession.Option) http.Handler {
		return app{"/begin": ourSet("user", "Bob"), "/show": ourShow("user"), "/rejected": rejected}.behind(our(t, opts...))
	}
	t.Run("under a new name", func(t *testing.T) {
		u := newUser(oldApp)
		u.get("/begin")
		u.h = newApp(t)
		want(t, "refused", u.body("/rejected"), "false")
		want(t, "moved", u.body("/show"), "user= ")
		u.get("/begin")
		want(t, "logged in", u.body("/show"), "user=Bob ")
		u.h = oldApp
		want(t, "moved back", u.body("/show"), "user=Ada ")
	})
	t.Run("under the old name", func(t *testing.T) {
		quiet(t)
		u := newUser(oldApp)
		u.get("/begin")
		u.h = newApp(t, ginsession.WithName("mysession"))
		want(t, "refused", u.body("/rejected"), "true")
		want(t, "moved", u.body("/show"), "user= ")
		u.get("/begin")
		want(t, "logged in", u.body("/show"), "user=Bob ")
		want(t, "cookies", len(u.cookies), 1)
		u.h = oldApp
		want(t, "moved back", u.body("/show"), "user= ")
	})
}
