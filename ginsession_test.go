package ginsession_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

const (
	secret      = "a secret of the tests, 32 bytes or more"
	otherSecret = "another secret, also of 32 bytes or more"
)

// sessionKinds are where a session can live. A record on a server needs a cookie
// only for a new id.
var sessionKinds = []struct {
	name   string
	server bool
	opts   func() []ginsession.Option
}{
	{"cookie", false, func() []ginsession.Option { return nil }},
	{"flask", false, func() []ginsession.Option { return []ginsession.Option{ginsession.WithFlaskCookie()} }},
	{"store", true, func() []ginsession.Option { return []ginsession.Option{ginsession.WithStore(apptest.NewStore())} }},
}

const sid = "sid" // the name of a cookie

func newApp(t *testing.T, opts ...ginsession.Option) *apptest.App {
	t.Helper()
	return apptest.New(t, append(opts, ginsession.WithName(sid))...)
}

// sees returns what a copy of the browser's cookies opens, as "k=v" lines.
func sees(b *apptest.Browser) []string { return b.Clone().Get("/?do=keys").Lines() }

func logIn(t *testing.T, b *apptest.Browser) {
	t.Helper()
	if w := b.Get("/?do=set:user=ann"); w.Code != http.StatusOK || len(b.Cookies()) != 1 {
		t.Fatalf("log-in: got %d and the cookies %v", w.Code, b.Cookies())
	}
}

// setBad makes the commit fail.
func setBad(c *gin.Context) { ginsession.From(c).Set("bad", make(chan int)) }

func panicOf(fn func()) (v any) {
	defer func() { v = recover() }()
	fn()
	return nil
}

func TestMust(t *testing.T) {
	if got := panicOf(func() { ginsession.Must(nil, apptest.ErrStore) }); got != apptest.ErrStore {
		t.Errorf("got %v, want %v", got, apptest.ErrStore)
	}
	b := apptest.NewBrowser(apptest.Mount(ginsession.Must(ginsession.New(secret))))
	if logIn(t, b); !slices.Equal(sees(b), []string{"user=ann"}) {
		t.Errorf("got %q, want user=ann", sees(b))
	}
}

func TestFrom(t *testing.T) {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	if got := fmt.Sprint(panicOf(func() { ginsession.From(c) })); !strings.Contains(got, "r.Use(ginsession.Must(") {
		t.Errorf("without the middleware: got %q, want a panic that says what to do", got)
	}
	a := newApp(t)
	a.Play(apptest.NewBrowser(a), func(c *gin.Context) {
		if s := ginsession.From(c); s != c.MustGet(ginsession.Key) || s != c.Value(ginsession.Key) {
			t.Error("From, c.MustGet and c.Value differ")
		}
	})
}

// TestHandle_headers: a session that is left alone leaves the headers as they
// are, and one that is read adds Vary.
func TestHandle_headers(t *testing.T) {
	page := func(c *gin.Context) {
		c.Header("Cache-Control", "public")
		c.SetCookie("other", "1", 0, "/", "", true, true)
		c.JSON(http.StatusCreated, gin.H{"a": 1})
	}
	read := func(c *gin.Context) { ginsession.From(c).Keys(); page(c) }
	vary := func(h http.Header) { h["Vary"] = []string{"Cookie"} }
	for _, cookie := range []string{"", "__Host-session=forged"} {
		req := httptest.NewRequest(http.MethodGet, "/play", nil)
		req.Header.Set("Cookie", cookie)
		answer := func(middleware []gin.HandlerFunc, page gin.HandlerFunc) http.Header {
			r, w := gin.New(), httptest.NewRecorder()
			r.Use(middleware...)
			r.GET("/play", page)
			r.ServeHTTP(w, req)
			return w.Result().Header
		}
		ours, want := []gin.HandlerFunc{apptest.Middleware(t, secret)}, answer(nil, page)
		if got := answer(ours, page); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("left alone: got %v, want %v", got, want)
		}
		vary(want)
		if got := answer(ours, read); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("read: got %v, want %v", got, want)
		}
	}
}

// TestHandle_mountedTwice: it is one session, and the inner mount commits nothing
// that the outer one may still add to.
func TestHandle_mountedTwice(t *testing.T) {
	h := apptest.Middleware(t, secret)
	var outer *ginsession.Session
	a := apptest.Mount(h, h, func(c *gin.Context) {
		outer = ginsession.From(c)
		if c.Next(); c.Query("do") == "" {
			outer.Set("late", "yes")
		}
	}, h)
	b := apptest.NewBrowser(a)
	w := a.Play(b, func(c *gin.Context) {
		if ginsession.From(c) != outer {
			t.Error("the second mount made a second session")
		}
		outer.Set("user", "ann")
	})
	if lines := w.Header()["Set-Cookie"]; len(lines) != 1 || !slices.Equal(sees(b), []string{"late=yes", "user=ann"}) {
		t.Errorf("got the cookies %q and %q, want one, with all changes", lines, sees(b))
	}
}

// TestHandle_mountedInsideAnother: under the same key, a middleware shows its
// session again.
func TestHandle_mountedInsideAnother(t *testing.T) {
	outer, inner := apptest.Middleware(t, secret), apptest.Middleware(t, secret, ginsession.WithName("inner"))
	var seen []*ginsession.Session
	look := func(c *gin.Context) {
		seen = append(seen, ginsession.From(c))
		c.Next()
		seen = append(seen, ginsession.From(c))
	}
	a := apptest.Mount(outer, look, inner, look, outer)
	a.Play(apptest.NewBrowser(a), func(c *gin.Context) { seen = append(seen, ginsession.From(c)) })
	if seen[0] == seen[1] || !slices.Equal(seen, []*ginsession.Session{seen[0], seen[1], seen[0], seen[1], seen[0]}) {
		t.Errorf("got the sessions %p, want outer, inner, outer, inner, outer", seen)
	}
}

// TestHandle_earlierRequest puts the keys of an earlier request into the context:
// its session does not serve again.
func TestHandle_earlierRequest(t *testing.T) {
	var old *ginsession.Session
	a := apptest.Mount(func(c *gin.Context) {
		if old != nil {
			c.Set(ginsession.Key, old)
		}
	}, apptest.Middleware(t, secret))
	for range 2 {
		w := a.Play(apptest.NewBrowser(a), func(c *gin.Context) {
			if s := ginsession.From(c); s == old {
				t.Error("got the earlier session, want a new one")
			} else {
				old = s
			}
			old.Set("user", "ann")
		})
		if got := len(w.Header()["Set-Cookie"]); got != 1 {
			t.Errorf("got %d cookies, want 1", got)
		}
	}
}

// two are a session of visitors around one of admins.
func two(t *testing.T, opts ...ginsession.Option) (*apptest.App, *apptest.Browser) {
	t.Helper()
	inner := apptest.Middleware(t, secret, append(opts, ginsession.WithName("admin"), ginsession.WithContextKey("admin"))...)
	a := apptest.Mount(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }), apptest.Middleware(t, secret, ginsession.WithName("shop")), inner)
	return a, apptest.NewBrowser(a)
}

func admin(c *gin.Context) *ginsession.Session { return c.MustGet("admin").(*ginsession.Session) }

func TestHandle_twoSessions(t *testing.T) {
	a, b := two(t)
	w := a.Play(b, func(c *gin.Context) {
		ginsession.From(c).Set("user", "ann")
		admin(c).Set("user", "root")
	})
	if h := w.Result().Header; len(h["Set-Cookie"]) != 2 || !slices.Equal(h["Vary"], []string{"Cookie"}) {
		t.Errorf("got %v, want two cookies and one Vary", h)
	}
	a.Play(b, func(c *gin.Context) {
		if got := ginsession.From(c).GetString("user") + admin(c).GetString("user"); got != "annroot" {
			t.Errorf("got %q, want annroot", got)
		}
	})
}

// TestHandle_twoSessions_oneFails: what one of them has saved holds, whatever
// happens to the other.
func TestHandle_twoSessions_oneFails(t *testing.T) {
	save := func(c *gin.Context) { _ = admin(c).Save() }
	rows := []struct {
		name  string
		store bool
		do    gin.HandlerFunc
		want  string // the users of both afterwards
	}{
		{"inner fails", false, func(c *gin.Context) { ginsession.From(c).Set("user", "bob"); admin(c).Set("bad", make(chan int)) }, "bob root"},
		{"outer fails, inner set", false, func(c *gin.Context) { setBad(c); admin(c).Set("user", "eve") }, "ann eve"},
		{"outer fails, inner flushed", false, func(c *gin.Context) { setBad(c); admin(c).Set("user", "eve"); c.Writer.Flush() }, "ann eve"},
		{"outer fails, inner renewed", true, func(c *gin.Context) { setBad(c); admin(c).Renew() }, "ann root"},
		{"outer fails, inner destroyed", false, func(c *gin.Context) { setBad(c); admin(c).Destroy() }, "ann "},
		{"panic, inner renewed and saved", true, func(c *gin.Context) { admin(c).Renew(); save(c); panic("a bug") }, "ann root"},
		{"panic, inner destroyed and saved", false, func(c *gin.Context) { admin(c).Destroy(); save(c); panic("a bug") }, "ann "},
		{"panic, both set", false, func(c *gin.Context) {
			ginsession.From(c).Set("user", "bob")
			admin(c).Set("user", "eve")
			panic("a bug")
		}, "ann root"},
	}
	for _, row := range rows {
		var opts []ginsession.Option
		if row.store {
			opts = append(opts, ginsession.WithStore(apptest.NewStore()))
		}
		a, b := two(t, opts...)
		a.Play(b, func(c *gin.Context) { ginsession.From(c).Set("user", "ann"); admin(c).Set("user", "root") })
		if w := a.Play(b, func(c *gin.Context) { c.String(200, "secret"); row.do(c) }); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: got %d %q, want 500 and nothing of the handler's page", row.name, w.Code, w.Body)
		}
		a.Play(b, func(c *gin.Context) {
			if got := ginsession.From(c).GetString("user") + " " + admin(c).GetString("user"); got != row.want {
				t.Errorf("%s: got the users %q, want %q", row.name, got, row.want)
			}
		})
	}
}

// TestHandle_oneKey_outerFails: the inner session, which hides the outer one, is
// not lost with it.
func TestHandle_oneKey_outerFails(t *testing.T) {
	var outer *ginsession.Session
	inner := apptest.Middleware(t, secret, ginsession.WithName("inner"), ginsession.WithStore(apptest.NewStore()))
	a := apptest.Mount(apptest.Middleware(t, secret), func(c *gin.Context) { outer = ginsession.From(c) }, inner)
	b := apptest.NewBrowser(a)
	logIn(t, b)
	a.Play(b, func(c *gin.Context) { ginsession.From(c).Renew(); outer.Set("bad", make(chan int)) })
	if got := sees(b); !slices.Equal(got, []string{"user=ann"}) {
		t.Errorf("got %q, want the renewed session", got)
	}
}

// TestHandle_oneCookie: two sessions in one cookie would overwrite each other,
// whatever their keys.
func TestHandle_oneCookie(t *testing.T) {
	for _, opts := range [][]ginsession.Option{nil, {ginsession.WithContextKey("other")}} {
		a := apptest.Mount(apptest.Middleware(t, secret), func(c *gin.Context) { ginsession.From(c).Set("user", "ann"); c.Next() }, apptest.Middleware(t, secret, opts...))
		b := apptest.NewBrowser(a)
		got := fmt.Sprint(panicOf(func() { b.Get("/") }))
		if !strings.Contains(got, `two different middlewares share the cookie "__Host-session"`) || !strings.Contains(got, "WithName") || len(b.Cookies()) != 0 {
			t.Errorf("got %q and the cookies %v, want a panic that says what to do, and none", got, b.Cookies())
		}
	}
}

// TestHandle_keysAreSetMeanwhile: gin lets any goroutine set keys while handlers
// run.
func TestHandle_keysAreSetMeanwhile(t *testing.T) {
	a := apptest.Mount(func(c *gin.Context) {
		var wg sync.WaitGroup
		begun := make(chan struct{})
		wg.Go(func() {
			for i := range 2000 {
				if c.Set(strconv.Itoa(i), i); i == 10 {
					close(begun)
				}
			}
		})
		<-begun
		c.Next()
		wg.Wait()
	}, apptest.Middleware(t, secret), apptest.Middleware(t, secret, ginsession.WithName("other"), ginsession.WithContextKey("other")))
	for range 50 {
		logIn(t, apptest.NewBrowser(a))
	}
}

// TestHandle_parallel: everybody gets their own body, cookie and headers.
func TestHandle_parallel(t *testing.T) {
	a := newApp(t)
	a.GET("/page/:id", func(c *gin.Context) {
		ginsession.From(c).Set("user", c.Param("id"))
		for range 1 + len(c.Param("id"))%5*200 {
			_, _ = c.Writer.WriteString(c.Param("id"))
		}
		c.Header("X-Id", c.Param("id"))
	})
	a.GET("/user", func(c *gin.Context) { c.String(http.StatusOK, "%s", ginsession.From(c).GetString("user")) })
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			id := strings.Repeat("x", i%7) + strconv.Itoa(i)
			b := apptest.NewBrowser(a)
			w := b.Get("/page/" + id)
			if user := b.Get("/user").Body.String(); strings.ReplaceAll(w.Body.String(), id, "") != "" || w.Header().Get("X-Id") != id || user != id {
				t.Errorf("got %.80q, %v and %q, want those of %s", w.Body, w.Header(), user, id)
			}
		})
	}
	wg.Wait()
}

// TestHandleContext_destroyed logs out and hands the request on to another page.
func TestHandleContext_destroyed(t *testing.T) {
	rows := []struct {
		then        string
		body, after []string // after: what the browser's session holds
	}{
		{"write:page", []string{"page"}, nil},
		{"keys,write:page", []string{"page"}, nil},
		{"destroy,write:page", []string{"page"}, nil},
		{"keys,set:a=1,write:page", []string{"page"}, []string{"a=1"}},
		{"get:user", nil, nil},
	}
	for _, storage := range sessionKinds {
		for _, row := range rows {
			b := apptest.NewBrowser(newApp(t, storage.opts()...))
			logIn(t, b)
			copied := b.Clone()
			w := b.Get("/?do=destroy,handle:/then&then=" + row.then)
			if w.Code != http.StatusOK || w.Errors != nil || !slices.Equal(w.Lines(), row.body) || len(w.SetCookies(sid)) != 1 {
				t.Errorf("%s, %s: got %d, %v, %q and %q, want 200, no errors, %q and one cookie", storage.name, row.then, w.Code, w.Errors, w.Lines(), w.SetCookies(sid), row.body)
			}
			if got := sees(b); !slices.Equal(got, row.after) || storage.server && len(sees(copied)) != 0 {
				t.Errorf("%s, %s: got %q, and %q for a copy of the old cookie, want %q", storage.name, row.then, got, sees(copied), row.after)
			}
		}
	}
}

// TestHandleContext_saved saves and hands the request on: the second pass sees
// it, and may go on from there.
func TestHandleContext_saved(t *testing.T) {
	rows := []struct {
		do, then    string
		body, after []string
	}{
		{"set:a=1,save", "keys", []string{"a=1"}, []string{"a=1"}},
		{"set:a=1,save", "write:page", []string{"page"}, []string{"a=1"}},
		{"set:a=1,save", "keys,set:b=1", []string{"a=1"}, []string{"a=1", "b=1"}},
		{"set:a=1,save", "keys,set:b=1,save,set:c=1", []string{"a=1"}, []string{"a=1", "b=1", "c=1"}},
		{"set:a=1,save", "keys,renew", []string{"a=1"}, []string{"a=1"}},
		{"set:a=1,renew,save", "keys,set:b=1", []string{"a=1"}, []string{"a=1", "b=1"}},
		{"set:a=1,save", "keys,destroy", []string{"a=1"}, nil},
	}
	for _, storage := range sessionKinds {
		for _, row := range rows {
			for _, user := range []bool{false, true} {
				b := apptest.NewBrowser(newApp(t, storage.opts()...))
				body, after := slices.Clone(row.body), slices.Clone(row.after)
				if user {
					logIn(t, b)
					if after != nil {
						after = append(after, "user=ann")
					}
					if strings.HasPrefix(row.then, "keys") {
						body = append(body, "user=ann")
					}
				}
				name := fmt.Sprint(storage.name, ", ", row.do, ", ", row.then, ", logged in ", user)
				w := b.Get("/?do=" + row.do + ",handle:/then&then=" + row.then)
				if w.Code != http.StatusOK || w.Errors != nil || !slices.Equal(w.Lines(), body) {
					t.Errorf("%s: got %d, %v and %q, want 200, no errors and %q", name, w.Code, w.Errors, w.Lines(), body)
				}
				known := storage.server && user && !strings.Contains(row.do+row.then, "renew") && row.after != nil
				none := known || !user && row.after == nil // the browser needs no cookie
				if lines := w.SetCookies(sid); len(lines) > 1 || len(lines) == 0 && !none {
					t.Errorf("%s: got the cookies %q, want one", name, lines)
				}
				if got := sees(b); !slices.Equal(got, after) {
					t.Errorf("%s: got %q, want %q", name, got, after)
				}
			}
		}
	}
}

// TestHandleContext_unsaved: a change of the first pass is either kept or
// reported, once. The second pass starts from the request's cookie.
func TestHandleContext_unsaved(t *testing.T) {
	for _, storage := range sessionKinds {
		for _, do := range []string{"set:a=1,handle:/then", "handle:/then,set:a=1", "handle:/then,set:a=1,save"} {
			for _, then := range []string{"write:page", "get:user,write:page", "set:b=1,write:page", "set:b=1", "get:b", "flush"} {
				b := apptest.NewBrowser(newApp(t, storage.opts()...))
				logIn(t, b)
				w := b.Get("/?do=" + do + "&then=" + then)
				reported := len(w.Errors) == 1 || strings.Contains(w.Body.String(), "save: ")
				remembered := storage.name == "cookie" && strings.HasSuffix(do, "save") // by this process, though no cookie could be sent
				if kept := slices.Contains(sees(b), "a=1"); kept == reported && (!kept || !remembered) || len(w.SetCookies(sid)) > 1 {
					t.Errorf("%s, %s, %s: kept %v, c.Errors %v, cookies %q, want it kept or one error, and one cookie at most", storage.name, do, then, kept, w.Errors, w.SetCookies(sid))
				}
				if got := sees(b); slices.Contains(got, "b=1") != strings.Contains(then, "b=1") || !slices.Contains(got, "user=ann") {
					t.Errorf("%s, %s, %s: got %q, want what the second pass did", storage.name, do, then, got)
				}
			}
		}
	}
}

// TestHandleContext_failed: one page, and one error in c.Errors for each pass
// that cannot save.
func TestHandleContext_failed(t *testing.T) {
	ok := func(c *gin.Context) { c.String(http.StatusOK, "second") }
	nothing := func(*gin.Context) {}
	rows := []struct {
		name          string
		first, second gin.HandlerFunc
		code          int
		body          string
		errs          int
	}{
		{"neither changes", nothing, ok, 200, "second", 0},
		{"neither writes", nothing, nothing, 200, "", 0},
		{"no content", func(c *gin.Context) { ginsession.From(c).Set("a", 1) }, func(c *gin.Context) { c.Status(204) }, 204, "", 1},
		{"first fails", setBad, ok, 200, "second", 1},
		{"second fails", nothing, func(c *gin.Context) { setBad(c); ok(c) }, 500, "Internal Server Error\n", 1},
		{"second fails, first written", func(c *gin.Context) { _, _ = c.Writer.WriteString("") }, func(c *gin.Context) { setBad(c); ok(c) }, 500, "Internal Server Error\n", 1},
		{"second fails, first saved", func(c *gin.Context) { _ = ginsession.From(c).Save() }, func(c *gin.Context) { setBad(c); ok(c) }, 500, "Internal Server Error\n", 1},
		{"both fail", setBad, func(c *gin.Context) { setBad(c); ok(c) }, 500, "Internal Server Error\n", 2},
		{"unknown path", func(c *gin.Context) { c.Request.URL.Path = "/none" }, nil, 404, "404 page not found", 0},
	}
	for _, row := range rows {
		a := newApp(t)
		a.GET("/second", row.second)
		w := a.Play(apptest.NewBrowser(a), func(c *gin.Context) {
			c.Request.URL.Path = "/second"
			row.first(c)
			a.HandleContext(c)
		})
		if w.Code != row.code || w.Body.String() != row.body || len(w.Errors) != row.errs {
			t.Errorf("%s: got %d %q and %v, want %d %q and %d errors", row.name, w.Code, w.Body, w.Errors, row.code, row.body, row.errs)
		}
	}
}

// TestHandleContext_panics: what the first pass has saved or destroyed holds, and
// nothing of what the second did.
func TestHandleContext_panics(t *testing.T) {
	rows := []struct {
		do, then string
		want     []string
		errs     int
	}{
		{"get:user,save", "set:half=1", []string{"user=ann"}, 1},
		{"get:user,save", "flush,set:half=1", []string{"user=ann"}, 1},
		{"get:user,save", "get:user", []string{"user=ann"}, 0},
		{"get:user,destroy", "set:half=1", nil, 1},
	}
	for _, row := range rows {
		half := false
		a := apptest.Mount(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }),
			apptest.Middleware(t, secret, ginsession.WithStore(apptest.NewStore())), func(c *gin.Context) {
				if c.Next(); c.Request.URL.Path == "/then" && !half {
					half = true
					panic("half way")
				}
			})
		b := apptest.NewBrowser(a)
		logIn(t, b)
		w := b.Get("/?do=" + row.do + ",handle:/then&then=" + row.then)
		if got := sees(b); len(w.Errors) != row.errs || !slices.Equal(got, row.want) {
			t.Errorf("%s, %s: got %v and %q, want %d errors and %q", row.do, row.then, w.Errors, got, row.errs, row.want)
		}
	}
}

// TestHandleContext_twoSessions: the outer session of the second pass is a new
// one. That inside it is the one that was saved, and its cookie leaves with the
// error page.
func TestHandleContext_twoSessions(t *testing.T) {
	a, b := two(t)
	a.GET("/second", setBad)
	w := a.Play(b, func(c *gin.Context) {
		admin(c).Set("user", "root")
		if err := admin(c).Save(); err != nil {
			t.Error(err)
		}
		c.Request.URL.Path = "/second"
		a.HandleContext(c)
	})
	if w.Code != http.StatusInternalServerError || len(w.SetCookies("admin")) != 1 || len(w.Header()["Set-Cookie"]) != 1 {
		t.Errorf("got %d and %v, want 500 and the cookie of admin", w.Code, w.Header())
	}
}

// TestCopy uses the session in goroutines during the request and after it, when
// gin has given the context to another request. The race detector looks on.
func TestCopy(t *testing.T) {
	for _, storage := range sessionKinds {
		a := newApp(t, storage.opts()...)
		b := apptest.NewBrowser(a)
		logIn(t, b)
		over := make(chan struct{})
		var wg sync.WaitGroup
		a.Play(b, func(c *gin.Context) {
			copied := c.Copy()
			for range 4 {
				wg.Go(func() {
					s := ginsession.From(copied)
					for range 20 {
						ginsession.Update(s, "n", func(n int) int { return n + 1 })
						s.AddFlash("x", "")
						s.Flashes()
						_, _, _, _, _ = s.Keys(), s.ID(), s.Rejected(), s.ExpiresAt(), s.Err()
					}
					<-over
					_ = s.Save()
				})
			}
			c.String(http.StatusOK, "x")
		})
		close(over)
		wg.Wait()
		if got := sees(b); storage.server && !slices.Equal(got, []string{"n=80", "user=ann"}) {
			t.Errorf("%s: got %q, want 80 updates", storage.name, got)
		}
	}
}

func TestCopy_firstUseAfterTheRequest(t *testing.T) {
	a := newApp(t)
	b := apptest.NewBrowser(a)
	logIn(t, b)
	var copied *gin.Context
	a.Play(b, func(c *gin.Context) { copied = c.Copy() })
	b.Get("/")
	s := ginsession.From(copied)
	if got := s.GetString("user"); got != "ann" {
		t.Errorf("got %q, want ann", got)
	}
	if s.Set("user", "bob"); !errors.Is(s.Save(), ginsession.ErrLate) {
		t.Errorf("got %v, want ErrLate", s.Err())
	}
}

// sessionReader uses the session while it is decoded.
type sessionReader struct{}

var duringDecode func()

func (*sessionReader) UnmarshalJSON([]byte) error { duringDecode(); return nil }

func TestPop_callsBack(t *testing.T) {
	a := newApp(t)
	a.Play(apptest.NewBrowser(a), func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("a", map[string]int{"x": 1})
		duringDecode = func() { s.GetString("b") }
		if _, ok := ginsession.Pop[sessionReader](s, "a"); !ok {
			t.Error("got false, want the value")
		}
	})
}

// TestNew_log: without the option, only Gin's debug mode logs.
func TestNew_log(t *testing.T) {
	var byDefault, explicit bytes.Buffer
	before, mode := slog.Default(), gin.Mode()
	slog.SetDefault(slog.New(slog.NewTextHandler(&byDefault, nil)))
	defer func() { slog.SetDefault(before); gin.SetMode(mode) }()
	own, off := ginsession.WithLogger(slog.New(slog.NewTextHandler(&explicit, nil))), ginsession.WithLogger(nil)
	rows := []struct {
		mode              string
		opts              []ginsession.Option
		byDefault, logger int // lines
	}{
		{gin.DebugMode, nil, 1, 0},
		{gin.ReleaseMode, nil, 0, 0},
		{gin.TestMode, nil, 0, 0},
		{gin.DebugMode, []ginsession.Option{off}, 0, 0},
		{gin.ReleaseMode, []ginsession.Option{own}, 0, 1},
		{gin.DebugMode, []ginsession.Option{own}, 0, 1},
		{gin.DebugMode, []ginsession.Option{off, own}, 0, 1},
	}
	for _, row := range rows {
		byDefault.Reset()
		explicit.Reset()
		gin.SetMode(gin.TestMode) // otherwise gin prints its routes
		a := apptest.Mount(func(*gin.Context) { gin.SetMode(row.mode) }, apptest.Middleware(t, secret, row.opts...))
		a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/?do=set:a=1", nil)) // elsewhere, plain http is worth a line of its own
		lines := func(b *bytes.Buffer) int { return strings.Count(b.String(), "session changed") }
		if d, e := lines(&byDefault), lines(&explicit); d != row.byDefault || e != row.logger {
			t.Errorf("%s, %d options: got %d lines by default and %d to the logger, want %d and %d", row.mode, len(row.opts), d, e, row.byDefault, row.logger)
		}
	}
}

// logTo returns an option that logs to what lines returns: without times, and
// with every duration as "1ms".
func logTo() (opt ginsession.Option, lines func() []string) {
	var b bytes.Buffer
	tidy := func(_ []string, a slog.Attr) slog.Attr {
		switch {
		case a.Key == slog.TimeKey:
			return slog.Attr{}
		case a.Value.Kind() == slog.KindDuration:
			return slog.Duration(a.Key, time.Millisecond)
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: tidy}))
	return ginsession.WithLogger(logger), func() []string {
		defer b.Reset()
		return slices.DeleteFunc(strings.Split(b.String(), "\n"), func(line string) bool { return line == "" })
	}
}

// setStandard puts the session in that all measurements are made with.
func setStandard(s *ginsession.Session) {
	s.Set("user_id", int64(12345678))
	s.Set("name", "Ada Lovelace")
	s.Set("roles", []string{"admin", "editor", "author"})
	s.Set("token", []byte("0123456789abcdef0123456789abcdef"))
	s.Set("count", 7)
	s.AddFlash("Welcome back, Ada", "success")
}

// TestAllocations counts what requests allocate that do something to a standard
// session and write a page: with a cookie, and with a map for a store, which allocates too. Times
// are for make bench; these numbers are exact.
func TestAllocations(t *testing.T) {
	if info, _ := debug.ReadBuildInfo(); slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector drops pooled memory at random")
	}
	type requests []func(*ginsession.Session)
	nothing := func(*ginsession.Session) {}
	read := func(s *ginsession.Session) { _, _ = s.GetInt64("user_id"), s.GetString("name") }
	write := func(s *ginsession.Session) { s.Set("count", (s.GetInt("count")+1)%8) }
	addFlash := func(s *ginsession.Session) { s.AddFlash("Saved", "success") }
	takeFlashes := func(s *ginsession.Session) { s.Flashes() }
	logIn := func(s *ginsession.Session) {
		s.Renew()
		s.Set("user_id", int64(12345678))
		s.Set("name", "Ada Lovelace")
		s.AddFlash("Welcome back, Ada", "success")
	}
	renew := func(s *ginsession.Session) { s.Renew() }
	rows := []struct {
		name           string
		do             requests
		fresh          bool // no cookie comes
		cookie, stored float64
	}{
		{"nothing", requests{nothing}, false, 3, 3},
		{"read", requests{read}, false, 5, 9},
		{"write", requests{write}, false, 7, 13},
		{"log in", requests{logIn}, true, 10, 16},
		{"renew", requests{renew}, false, 8, 19},
		{"flash pair", requests{addFlash, takeFlashes}, false, 17, 29},
		{"set all", requests{setStandard}, true, 20, 26},
	}
	for _, row := range rows {
		if got := allocations(t, row.do, row.fresh); got != row.cookie {
			t.Errorf("%s, encrypted cookie: got %v allocations, want %v", row.name, got, row.cookie)
		}
		if got := allocations(t, row.do, row.fresh, ginsession.WithStore(mapStore{})); got != row.stored {
			t.Errorf("%s, store: got %v allocations, want %v", row.name, got, row.stored)
		}
	}
}

// mapStore is a store that allocates as little as one can. No two requests may
// use it at once.
type mapStore map[string]ginsession.Record

func (m mapStore) Load(_ context.Context, id string) (ginsession.Record, error) {
	r, ok := m[id]
	if !ok {
		return r, ginsession.ErrNotFound
	}
	r.Data = bytes.Clone(r.Data)
	return r, nil
}

func (m mapStore) Save(_ context.Context, id string, r ginsession.Record) error {
	if r.Version != m[id].Version {
		return ginsession.ErrConflict
	}
	version, _ := r.Version.(uint8)
	m[id] = ginsession.Record{Data: bytes.Clone(r.Data), Expires: r.Expires, Version: version + 1}
	return nil
}

func (m mapStore) Delete(_ context.Context, id string) error {
	delete(m, id)
	return nil
}

// noWriter takes a response and allocates nothing.
type noWriter struct{ header http.Header }

func (w noWriter) Header() http.Header         { return w.header }
func (w noWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w noWriter) WriteHeader(int)             {}

func standardApp(t *testing.T, opts ...ginsession.Option) (*gin.Engine, *http.Cookie) {
	t.Helper()
	r, w := gin.New(), httptest.NewRecorder()
	r.Use(apptest.Middleware(t, secret, opts...))
	r.GET("/fill", func(c *gin.Context) { setStandard(ginsession.From(c)) })
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/fill", nil))
	return r, w.Result().Cookies()[0]
}

func allocations(t *testing.T, do []func(*ginsession.Session), fresh bool, opts ...ginsession.Option) float64 {
	t.Helper()
	r, k := standardApp(t, opts...)
	var requests []*http.Request
	cookie := []string{k.Name + "=" + k.Value}
	if fresh {
		cookie[0] = ""
	}
	for i, do := range do {
		path := "/" + strconv.Itoa(i)
		r.GET(path, func(c *gin.Context) {
			do(ginsession.From(c))
			_, _ = c.Writer.WriteString("<!doctype html><title>Settings</title><p>A page of the app.")
		})
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		request.Header["Cookie"] = cookie
		requests = append(requests, request)
	}
	w := noWriter{http.Header{}}
	return testing.AllocsPerRun(1000, func() {
		for _, request := range requests {
			clear(w.header)
			r.ServeHTTP(w, request)
			if lines := w.header["Set-Cookie"]; !fresh && len(lines) > 0 { // as a browser does
				cookie[0], _, _ = strings.Cut(lines[0], ";")
			}
		}
	})
}

// TestSizes weighs the standard session: the value of its cookie, and its
// record in a store.
func TestSizes(t *testing.T) {
	store := apptest.NewStore()
	standardApp(t, ginsession.WithStore(store))
	_, cookie := standardApp(t)
	got := map[string]int{"cookie": len(cookie.Value)}
	for _, size := range store.Sizes() {
		got["record"] = size
	}
	if want := map[string]int{"cookie": 307, "record": 230}; !maps.Equal(got, want) {
		t.Errorf("got %v bytes, want %v", got, want)
	}
}

// wantOneError fails unless errs is one error that is want.
func wantOneError(t testing.TB, where string, errs []error, want error) {
	t.Helper()
	if len(errs) != 1 || !errors.Is(errs[0], want) {
		t.Errorf("%s: got %v, want one: %v", where, errs, want)
	}
}

func TestFromKey(t *testing.T) {
	a := apptest.Mount(apptest.Middleware(t, secret, ginsession.WithName("cart"), ginsession.WithContextKey("cart")))
	b := apptest.NewBrowser(a)
	a.Play(b, func(c *gin.Context) { ginsession.FromKey(c, "cart").Set("n", 1) })
	a.Play(b, func(c *gin.Context) {
		if got := ginsession.FromKey(c, "cart").GetInt("n"); got != 1 {
			t.Errorf("got %d, want 1", got)
		}
		defer func() {
			if text := fmt.Sprint(recover()); !strings.Contains(text, `WithContextKey("basket")`) {
				t.Errorf("got the panic %q, want one that names the option", text)
			}
		}()
		ginsession.FromKey(c, "basket")
	})
}

func TestFromContext(t *testing.T) {
	for _, row := range []struct {
		opts []ginsession.Option
		want bool
	}{{nil, false}, {[]ginsession.Option{ginsession.WithRequestContext()}, true}} {
		a := apptest.New(t, row.opts...)
		b := apptest.NewBrowser(a)
		a.GET("/wrapped", gin.WrapF(func(_ http.ResponseWriter, r *http.Request) {
			s, ok := ginsession.FromContext(r.Context())
			if ok != row.want {
				t.Errorf("got %v, want %v", ok, row.want)
			}
			if ok {
				s.Set("a", 1)
			}
		}))
		b.Get("/wrapped")
		if got := b.Get("/?do=keys").Lines(); (len(got) == 1) != row.want {
			t.Errorf("got %q, set: %v", got, row.want)
		}
	}
}
