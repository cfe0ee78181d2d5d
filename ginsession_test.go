package ginsession_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memstore"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

func newSessions(t testing.TB, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return h
}

// trace is what a middleware outside of ours sees once it is done.
type trace struct {
	errs    []error
	aborted bool
	status  int
	size    int
	written bool
}

func (tr *trace) watch(c *gin.Context) {
	defer func() {
		*tr = trace{nil, c.IsAborted(), c.Writer.Status(), c.Writer.Size(), c.Writer.Written()}
		for _, e := range c.Errors {
			tr.errs = append(tr.errs, e.Err)
		}
	}()
	c.Next()
}

// newTraced returns an engine with a trace around the session middleware.
func newTraced(t testing.TB, opts ...ginsession.Option) (*gin.Engine, *trace) {
	t.Helper()
	tr := &trace{}
	r := gin.New()
	r.Use(tr.watch, newSessions(t, opts...))
	return r, tr
}

// set changes the session in a way that needs a Set-Cookie.
func set(c *gin.Context) { ginsession.From(c).Set("user", "ann") }

// get answers with what [set] left.
func get(c *gin.Context) { c.String(http.StatusOK, "%s", ginsession.From(c).GetString("user")) }

// setBad makes the commit fail.
func setBad(c *gin.Context) { ginsession.From(c).Set("bad", make(chan int)) }

func cookieLines(w *httptest.ResponseRecorder) []string { return w.Result().Header["Set-Cookie"] }

// panicOf returns what fn panicked with.
func panicOf(fn func()) (v any) {
	defer func() { v = recover() }()
	fn()
	return nil
}

func TestSession_lastsFromRequestToRequest(t *testing.T) {
	r := newEngine(t)
	r.POST("/set", set)
	r.GET("/get", get)

	b := newBrowser(r)
	b.post("/set", nil)
	if got, want := b.get("/get").Body.String(), "ann"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMust_panicsOnError(t *testing.T) {
	_, err := ginsession.New("short")
	if err == nil {
		t.Fatal("New took a short secret")
	}
	if got := panicOf(func() { ginsession.Must(nil, err) }); got != err {
		t.Errorf("got %v, want %v", got, err)
	}
}

func TestMust_returnsTheMiddleware(t *testing.T) {
	r := gin.New()
	r.Use(ginsession.Must(ginsession.New(secret)))
	r.GET("/", set)
	if got := len(cookieLines(do(t, r, "GET", "/"))); got != 1 {
		t.Errorf("got %d cookies, want 1", got)
	}
}

func TestFrom_panicsWithoutMiddleware(t *testing.T) {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	got := fmt.Sprint(panicOf(func() { ginsession.From(c) }))
	if want := "r.Use(ginsession.Must("; !strings.Contains(got, want) {
		t.Errorf("got %q, want it to contain %q", got, want)
	}
}

func TestFrom_findsWhatMustGetFinds(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		if s != c.MustGet(ginsession.Key).(*ginsession.Session) || s != c.Value(ginsession.Key) {
			t.Error("From, c.MustGet and c.Value differ")
		}
	})
	do(t, r, "GET", "/")
}

// Two sessions in one cookie would overwrite each other, whatever their keys.
func TestMiddleware_sameCookieUnderAnotherKey(t *testing.T) {
	r := newEngine(t)
	other := ginsession.Must(ginsession.New(secret, ginsession.WithContextKey("other")))
	r.GET("/", func(c *gin.Context) {
		defer func() {
			if text := fmt.Sprint(recover()); !strings.Contains(text, "WithName") {
				t.Errorf("got %q, want a panic that says what to do", text)
			}
		}()
		other(c)
	})
	do(t, r, http.MethodGet, "/")
}

// A change that can never be saved is an error at once.
func TestErr_lateChange(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		c.Writer.Flush()
		s := ginsession.From(c)
		if s.GetString("a"); s.Err() != nil {
			t.Errorf("reading gives %v", s.Err())
		}
		if s.Set("a", 1); !errors.Is(s.Err(), ginsession.ErrLate) {
			t.Errorf("got %v, want ErrLate", s.Err())
		}
	})
	do(t, r, http.MethodGet, "/")
}

func TestMiddleware_untouchedLeavesResponseAlone(t *testing.T) {
	handler := func(c *gin.Context) {
		c.Header("Cache-Control", "public")
		c.Header("Vary", "Origin")
		c.SetCookie("other", "1", 0, "/", "", true, true)
		c.JSON(http.StatusCreated, gin.H{"a": 1})
	}
	plain := gin.New()
	ours := newEngine(t)
	plain.GET("/", handler)
	ours.GET("/", handler)
	forged := &http.Cookie{Name: "__Host-session", Value: "forged"}
	want, got := do(t, plain, "GET", "/", forged).Result(), do(t, ours, "GET", "/", forged).Result()
	if fmt.Sprint(got.Header) != fmt.Sprint(want.Header) {
		t.Errorf("got %v, want %v", got.Header, want.Header)
	}
}

func TestMiddleware_readingAddsVaryAndNoCookie(t *testing.T) {
	r := newEngine(t)
	r.GET("/", get)
	h := do(t, r, "GET", "/").Result().Header
	if got, want := fmt.Sprint(h), "map[Content-Type:[text/plain; charset=utf-8] Vary:[Cookie]]"; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMiddleware_mountedTwiceIsOneSession(t *testing.T) {
	h := newSessions(t)
	r := gin.New()
	r.Use(h, h)
	var outer, inner *ginsession.Session
	r.Use(func(c *gin.Context) { outer = ginsession.From(c); c.Next() })
	g := r.Group("/g", h)
	g.GET("/", func(c *gin.Context) { inner = ginsession.From(c); set(c); c.String(http.StatusOK, "x") })

	w := do(t, r, "GET", "/g/")
	if outer != inner {
		t.Error("the second mount made a second session")
	}
	if got := len(cookieLines(w)); got != 1 {
		t.Errorf("got %d cookies, want 1", got)
	}
	if got, want := w.Body.String(), "x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A change that the inner mount must not commit by itself: the outer one may
// still add to it.
func TestMiddleware_mountedTwiceCommitsOnce(t *testing.T) {
	h := newSessions(t)
	r := gin.New()
	r.Use(h, func(c *gin.Context) { c.Next(); ginsession.From(c).Set("late", "yes") })
	r.GET("/", h, set)
	r.GET("/late", func(c *gin.Context) { c.String(http.StatusOK, ginsession.From(c).GetString("late")) })

	b := newBrowser(r)
	if got := len(cookieLines(b.get("/"))); got != 1 {
		t.Errorf("got %d cookies, want 1", got)
	}
	if got, want := b.get("/late").Body.String(), "yes"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Who puts keys of an earlier request into the context does not get its session.
func TestMiddleware_sessionOfAnEarlierRequestDoesNotServe(t *testing.T) {
	var old *ginsession.Session
	r := gin.New()
	r.Use(func(c *gin.Context) {
		if old != nil {
			c.Set(ginsession.Key, old)
		}
		c.Next()
	}, newSessions(t))
	r.GET("/", func(c *gin.Context) {
		if old != nil && ginsession.From(c) == old {
			t.Error("a session that is over serves a second time")
		}
		old = ginsession.From(c)
		set(c)
	})
	for range 2 {
		if got := len(cookieLines(do(t, r, "GET", "/"))); got != 1 {
			t.Errorf("got %d cookies, want 1", got)
		}
	}
}

func TestMiddleware_twoSessionsSideBySide(t *testing.T) {
	r := newEngine(t, ginsession.WithName("shop"))
	admin := r.Group("/admin", newSessions(t, ginsession.WithName("admin"), ginsession.WithContextKey("admin")))
	admin.GET("/set", func(c *gin.Context) {
		set(c)
		c.MustGet("admin").(*ginsession.Session).Set("user", "root")
		c.String(http.StatusOK, "x")
	})
	admin.GET("/get", func(c *gin.Context) {
		c.String(http.StatusOK, ginsession.From(c).GetString("user")+c.MustGet("admin").(*ginsession.Session).GetString("user"))
	})
	b := newBrowser(r)
	w := b.get("/admin/set")
	if got := len(cookieLines(w)); got != 2 {
		t.Errorf("got %d cookies, want 2", got)
	}
	if got, want := fmt.Sprint(w.Result().Header["Vary"]), "[Cookie]"; got != want {
		t.Errorf("Vary: got %v, want %v", got, want)
	}
	if got, want := b.get("/admin/get").Body.String(), "annroot"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMiddleware_sameContextKeyGivesTheOuterSessionBack(t *testing.T) {
	r := newEngine(t, ginsession.WithName("shop"))
	var before, inside, after *ginsession.Session
	r.Use(func(c *gin.Context) {
		before = ginsession.From(c)
		c.Next()
		after = ginsession.From(c)
	})
	r.GET("/", newSessions(t, ginsession.WithName("admin")), func(c *gin.Context) { inside = ginsession.From(c) })
	do(t, r, "GET", "/")
	if inside == before {
		t.Error("the inner middleware made no session of its own")
	}
	if after != before {
		t.Error("the outer session is not back")
	}
}

func TestMiddleware_innerFailureLeavesTheOuterSession(t *testing.T) {
	r := newEngine(t, ginsession.WithName("shop"))
	r.GET("/get", get)
	r.GET("/", newSessions(t, ginsession.WithName("admin"), ginsession.WithContextKey("admin")), func(c *gin.Context) {
		set(c)
		c.MustGet("admin").(*ginsession.Session).Set("bad", make(chan int))
		c.String(http.StatusOK, "x")
	})
	b := newBrowser(r)
	w := b.get("/")
	if got, want := w.Code, http.StatusInternalServerError; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := w.Body.String(), "Internal Server Error\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := b.get("/get").Body.String(), "ann"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The inner one is saved by then: each of the two goes its own way.
func TestMiddleware_outerFailureKeepsTheInnerCookie(t *testing.T) {
	r := newEngine(t, ginsession.WithName("shop"))
	r.GET("/", newSessions(t, ginsession.WithName("admin"), ginsession.WithContextKey("admin")), func(c *gin.Context) {
		setBad(c)
		c.MustGet("admin").(*ginsession.Session).Set("user", "root")
		c.String(http.StatusOK, "x")
		c.Writer.Flush()
		_, _ = c.Writer.WriteString("y")
	})
	w := do(t, r, "GET", "/")
	if got, want := w.Body.String(), "Internal Server Error\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := cookieLines(w); len(got) != 1 || !strings.HasPrefix(got[0], "admin=") {
		t.Errorf("got %d cookies, want that of admin", len(got))
	}
}

func TestMiddleware_twoOfOneNameAndKeyPanic(t *testing.T) {
	var recovered any
	r := gin.New()
	r.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, v any) {
		recovered = v
		c.AbortWithStatus(http.StatusInternalServerError)
	}))
	r.Use(newSessions(t), func(c *gin.Context) { set(c); c.Next() }, newSessions(t))
	r.GET("/", get)
	w := do(t, r, "GET", "/")
	if got, want := fmt.Sprint(recovered), `two different middlewares share the cookie "__Host-session"`; !strings.Contains(got, want) {
		t.Errorf("got %q, want it to contain %q", got, want)
	}
	if got, want := w.Code, http.StatusInternalServerError; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := cookieLines(w); len(got) != 0 {
		t.Errorf("got %d cookies, want none", len(got))
	}
}

func TestHandleContext_secondPassStartsFromTheRequestsCookie(t *testing.T) {
	var seen string
	var told []error
	r, tr := newTraced(t, ginsession.WithErrorHandler(func(c *gin.Context, err error) {
		told = append(told, err)
		c.String(http.StatusTeapot, "page")
	}))
	r.GET("/login", set)
	r.GET("/get", get)
	r.GET("/first", func(c *gin.Context) {
		ginsession.From(c).Set("user", "bob")
		c.Request.URL.Path = "/second"
		r.HandleContext(c)
	})
	r.GET("/second", func(c *gin.Context) {
		seen = ginsession.From(c).GetString("user")
		ginsession.From(c).Set("user", seen+"e")
		c.String(http.StatusOK, "second")
	})
	b := newBrowser(r)
	b.get("/login")
	w := b.get("/first")
	if got, want := seen, "ann"; got != want {
		t.Errorf("the second pass saw %q, want %q", got, want)
	}
	if got, want := w.Body.String(), "second"; got != want {
		t.Errorf("body: got %q, want %q", got, want)
	}
	if got := len(cookieLines(w)); got != 1 {
		t.Errorf("got %d cookies, want 1", got)
	}
	wantOneError(t, "c.Errors", tr.errs, ginsession.ErrLate)
	wantOneError(t, "the error handler", told, ginsession.ErrLate)
	if got, want := b.get("/get").Body.String(), "anne"; got != want {
		t.Errorf("kept: got %q, want %q", got, want)
	}
}

func TestHandleContext_neverTwoPages(t *testing.T) {
	nothing := func(*gin.Context) {}
	ok := func(c *gin.Context) { c.String(http.StatusOK, "second") }
	tests := []struct {
		name          string
		first, second gin.HandlerFunc
		status        int
		body          string
		errs          int
	}{
		{"neither changes", nothing, ok, 200, "second", 0},
		{"neither writes", nothing, nothing, 200, "", 0},
		{"no content", set, func(c *gin.Context) { c.Status(http.StatusNoContent) }, 204, "", 1},
		{"first fails", setBad, ok, 200, "second", 1},
		{"second fails", nothing, func(c *gin.Context) { setBad(c); ok(c) }, 500, "Internal Server Error\n", 1},
		{"both fail", setBad, func(c *gin.Context) { setBad(c); ok(c) }, 500, "Internal Server Error\n", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, tr := newTraced(t)
			r.GET("/first", func(c *gin.Context) {
				tt.first(c)
				c.Request.URL.Path = "/second"
				r.HandleContext(c)
			})
			r.GET("/second", tt.second)
			w := do(t, r, "GET", "/first")
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.status, tt.body)
			}
			if got := len(tr.errs); got != tt.errs {
				t.Errorf("got errors %v, want %d", tr.errs, tt.errs)
			}
		})
	}
}

func TestHandleContext_ofUnknownPath(t *testing.T) {
	r := newEngine(t)
	r.GET("/first", func(c *gin.Context) {
		c.Request.URL.Path = "/none"
		r.HandleContext(c)
	})
	w := do(t, r, "GET", "/first")
	if got, want := fmt.Sprint(w.Code, " ", w.Body), "404 404 page not found"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHandleContext_savedFirstPassKeepsItsCookie(t *testing.T) {
	r, tr := newTraced(t)
	r.GET("/get", get)
	r.GET("/second", func(c *gin.Context) { c.String(http.StatusOK, "second") })
	r.GET("/first", func(c *gin.Context) {
		set(c)
		if err := ginsession.From(c).Save(); err != nil {
			t.Error(err)
		}
		c.Request.URL.Path = "/second"
		r.HandleContext(c)
	})
	b := newBrowser(r)
	b.get("/first")
	if len(tr.errs) != 0 {
		t.Errorf("got errors %v, want none", tr.errs)
	}
	if got, want := b.get("/get").Body.String(), "ann"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHandleContext_secondPassPanics(t *testing.T) {
	change := func(c *gin.Context) { ginsession.From(c).Set("half", "yes") }
	nothing := func(*gin.Context) {}
	tests := []struct {
		name          string
		first, second gin.HandlerFunc
		want          string
		errs          int
	}{
		{"saved, then changed", func(c *gin.Context) { _ = ginsession.From(c).Save() }, change, "[user]", 1},
		{"saved, then flushed", func(c *gin.Context) { _ = ginsession.From(c).Save() }, func(c *gin.Context) { c.Writer.Flush(); change(c) }, "[user]", 1},
		{"saved, then nothing", func(c *gin.Context) { _ = ginsession.From(c).Save() }, nothing, "[user]", 0},
		{"destroyed, then changed", func(c *gin.Context) { ginsession.From(c).Destroy() }, change, "[]", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := new(trace)
			r := gin.New()
			r.Use(tr.watch, gin.RecoveryWithWriter(io.Discard), newSessions(t, ginsession.WithStore(memstore.New())))
			r.GET("/login", set)
			r.GET("/keys", func(c *gin.Context) { c.String(http.StatusOK, "%v", ginsession.From(c).Keys()) })
			r.GET("/first", func(c *gin.Context) {
				ginsession.From(c).GetString("user")
				tt.first(c)
				c.Request.URL.Path = "/second"
				r.HandleContext(c)
			})
			r.GET("/second", func(c *gin.Context) {
				tt.second(c)
				panic("half way")
			})
			b := newBrowser(r)
			b.get("/login")
			b.get("/first")
			if got := len(tr.errs); got != tt.errs {
				t.Errorf("got errors %v, want %d", tr.errs, tt.errs)
			}
			if got := b.get("/keys").Body.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// The outer session of the second pass is a new one; that inside it is the one
// that was saved, and its cookie leaves with the error page.
func TestHandleContext_outerFailureKeepsTheSavedInnerCookie(t *testing.T) {
	r := newEngine(t, ginsession.WithName("shop"))
	r.Use(newSessions(t, ginsession.WithName("admin"), ginsession.WithContextKey("admin")))
	r.GET("/first", func(c *gin.Context) {
		admin := c.MustGet("admin").(*ginsession.Session)
		admin.Set("user", "root")
		if err := admin.Save(); err != nil {
			t.Error(err)
		}
		c.Request.URL.Path = "/second"
		r.HandleContext(c)
	})
	r.GET("/second", setBad)
	w := do(t, r, "GET", "/first")
	if got, want := w.Code, http.StatusInternalServerError; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := cookieLines(w); len(got) != 1 || !strings.HasPrefix(got[0], "admin=") {
		t.Errorf("got %d cookies, want that of admin", len(got))
	}
}

// Run under -race: the session outlives the request, and gin gives the context
// to somebody else meanwhile.
func TestCopy_usedByGoroutinesDuringAndAfterTheRequest(t *testing.T) {
	r := newEngine(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	r.GET("/", func(c *gin.Context) {
		cp := c.Copy()
		wg.Go(func() {
			s := ginsession.From(cp)
			for i := 0; ; i++ {
				s.Set("i", i)
				if i < 10 { // those after the first are for later, and a cookie holds only so many
					s.AddFlash("x", "")
				}
				s.Flashes()
				select {
				case <-done:
					if s.GetInt("i") != i {
						t.Errorf("got %v, want %v", s.GetInt("i"), i)
					}
					return
				default:
				}
			}
		})
		set(c)
		c.String(http.StatusOK, "x")
	})
	for range 20 {
		if got, want := do(t, r, "GET", "/").Body.String(), "x"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	close(done)
	wg.Wait()
}

func TestCopy_loadsAfterTheRequest(t *testing.T) {
	r := newEngine(t)
	var cp *gin.Context
	r.GET("/set", set)
	r.GET("/", func(c *gin.Context) { cp = c.Copy() })
	b := newBrowser(r)
	b.get("/set")
	b.get("/")
	if got, want := ginsession.From(cp).GetString("user"), "ann"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Everybody gets their own body, cookie and headers, whatever others do.
func TestMiddleware_servesManyRequestsAtOnce(t *testing.T) {
	r := newEngine(t)
	r.GET("/set/:n/:id", func(c *gin.Context) {
		s := ginsession.From(c)
		for range len(c.Param("n")) * 200 {
			_, _ = c.Writer.WriteString(c.Param("id"))
		}
		s.Set("user", c.Param("id"))
		c.Header("X-Id", c.Param("id"))
	})
	r.GET("/get", get)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			id := fmt.Sprintf("%04d", i)
			n := strings.Repeat("n", i%5)
			b := newBrowser(r)
			w := b.get("/set/x" + n + "/" + id)
			if got, want := w.Body.String(), strings.Repeat(id, (1+len(n))*200); got != want {
				t.Errorf("%s: body of %d bytes, want %d", id, len(got), len(want))
			}
			if got, want := w.Result().Header.Get("X-Id"), id; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got, want := b.get("/get").Body.String(), id; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	wg.Wait()
}
