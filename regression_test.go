package ginsession_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memstore"
)

// ck is the name of the cookie.
const ck = "__Host-session"

// plainApp is an app with one route for each kind of change.
func plainApp(t *testing.T, opts ...ginsession.Option) (*gin.Engine, *browser) {
	r := newEngine(t, opts...)
	r.GET("/set/:k/:v", func(c *gin.Context) { ginsession.From(c).Set(c.Param("k"), c.Param("v")) })
	r.GET("/inc", func(c *gin.Context) { ginsession.Update(ginsession.From(c), "n", func(n int) int { return n + 1 }) })
	r.GET("/logout", func(c *gin.Context) { ginsession.From(c).Destroy() })
	r.GET("/keys", func(c *gin.Context) { c.String(200, "%s", strings.Join(ginsession.From(c).Keys(), " ")) })
	r.GET("/user", func(c *gin.Context) { c.String(200, "%s", ginsession.From(c).GetString("user")) })
	return r, newBrowser(r)
}

// twin is a second browser with the same cookies.
func twin(b *browser) *browser {
	o := newBrowser(b.h)
	maps.Copy(o.cookies, b.cookies)
	return o
}

func TestRegression_resurrectSaveThenRenew(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/user/alice")
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		twin(b).get("/logout")
		s.Set("x", 1)
		t.Log("Save:", s.Save())
		s.Renew()
	})
	b.get("/slow")
	if got := b.get("/user").Body.String(); got != "" {
		t.Errorf("logged-out session is back: user=%q", got)
	}
}

func TestRegression_destroyAfterEmptyingSave(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/user/alice")
	r.GET("/logout2", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Clear()
		_ = s.Save()
		s.Destroy()
	})
	var status int
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		twin(b).get("/logout2")
		s.Set("x", 1)
	})
	old := twin(b)
	w := b.get("/slow")
	status = w.Code
	t.Log(status, w.Header()["Set-Cookie"])
	if got := old.get("/keys").Body.String(); got != "" {
		t.Errorf("destroyed session lives on under its old id: keys=%q", got)
	}
	if len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("raced request set a cookie: %v", w.Header()["Set-Cookie"])
	}
}

func TestRegression_clearRenewLeavesCookie(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/user/alice")
	r.GET("/out", func(c *gin.Context) { s := ginsession.From(c); s.Clear(); s.Renew() })
	w := b.get("/out")
	if len(w.Header()["Set-Cookie"]) == 0 {
		t.Errorf("emptied session: the cookie stays in the browser")
	}
	b.get("/set/cart/1")
	if got := b.get("/keys").Body.String(); got != "cart" {
		t.Errorf("next request's Set is dropped: keys=%q", got)
	}
}

func TestRegression_lostUpdateAfterFailedReplay(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/user/alice")
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		runs := 0
		twin(b).get("/set/theirs/1")
		ginsession.Update(s, "f", func(f float64) float64 {
			if runs++; runs == 2 {
				return math.NaN()
			}
			return 1
		})
		t.Log("Save:", s.Save())
		s.Set("mine", 1)
	})
	t.Log(b.get("/slow").Code)
	if got := b.get("/keys").Body.String(); !strings.Contains(got, "theirs") {
		t.Errorf("lost update: keys=%q", got)
	}
}

func TestRegression_lostUpdateAfterPanicInReplay(t *testing.T) {
	h := ginsession.Must(ginsession.New(secret, ginsession.WithStore(memstore.New())))
	r := gin.New()
	r.Use(h, gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) {}))
	r.GET("/set/:k/:v", func(c *gin.Context) { ginsession.From(c).Set(c.Param("k"), c.Param("v")) })
	r.GET("/keys", func(c *gin.Context) { c.String(200, "%s", strings.Join(ginsession.From(c).Keys(), " ")) })
	b := newBrowser(r)
	b.get("/set/user/alice")
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		runs := 0
		twin(b).get("/set/theirs/1")
		ginsession.Update(s, "f", func(f float64) float64 {
			if runs++; runs == 2 {
				panic("app bug")
			}
			return 1
		})
		c.Writer.Flush()
	})
	t.Log(b.get("/slow").Code)
	if got := b.get("/keys").Body.String(); !strings.Contains(got, "theirs") {
		t.Errorf("lost update: keys=%q", got)
	}
}

func TestRegression_panicAfterFailedReplayOfGoneRecord(t *testing.T) {
	st := memstore.New()
	r, b := plainApp(t, ginsession.WithStore(st))
	b.get("/set/user/alice")
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		runs := 0
		st.Clear()
		ginsession.Update(s, "f", func(f float64) float64 {
			if runs++; runs == 2 {
				return math.NaN()
			}
			return 1
		})
		t.Log("Save:", s.Save())
		s.Set("mine", 1)
	})
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("the library panics: %v", p)
		}
	}()
	t.Log(b.get("/slow").Code)
}

func TestRegression_unboundedLookups(t *testing.T) {
	st := &spy{Store: memstore.New()}
	_, b := plainApp(t, ginsession.WithStore(st))
	b.get("/set/user/alice")
	r2, _ := plainApp(t, ginsession.WithStore(st), ginsession.WithLifetime(10*time.Millisecond)) // shortened
	time.Sleep(5 * 10 * time.Millisecond)
	st.loads = 0
	var cs []*http.Cookie
	for range 5000 {
		cs = append(cs, &http.Cookie{Name: ck, Value: b.cookies[ck].Value})
	}
	do(t, r2, "GET", "/keys", cs...)
	if st.loads > 8 {
		t.Errorf("one request made %d store lookups", st.loads)
	}
}

func TestRegression_renewMarkReplyLost(t *testing.T) {
	kept := memstore.New()
	st := &spy{Store: kept}
	r, b := plainApp(t, ginsession.WithStore(st))
	b.get("/set/user/alice")
	r.GET("/login", func(c *gin.Context) { ginsession.From(c).Renew() })
	st.after = func(r ginsession.Record) error {
		if len(r.Data) < 60 { // the mark
			return errors.New("reply lost")
		}
		return nil
	}
	w := b.get("/login")
	st.after = nil
	t.Log(w.Code, w.Header())
	if got := b.get("/user").Body.String(); got != "alice" {
		t.Errorf("one lost reply in Renew ended the session, record and all: user=%q, records %d", got, len(kept.Sizes()))
	}
}

func TestRegression_saveAfterHandlecontext(t *testing.T) {
	var err error
	var errs int
	r, b := plainApp(t)
	h := r.Handlers
	r.Handlers = append(gin.HandlersChain{func(c *gin.Context) { c.Next(); errs = len(c.Errors) }}, h...)
	r.GET("/b", func(c *gin.Context) { c.String(200, "b") })
	r.GET("/a", func(c *gin.Context) {
		s := ginsession.From(c)
		c.Request.URL.Path = "/b"
		r.HandleContext(c)
		s.Set("x", 1)
		err = s.Save()
	})
	w := b.get("/a")
	// httptest's Result snapshot is taken at WriteHeader
	if len(w.Result().Cookies()) == 0 && err == nil && errs == 0 {
		t.Errorf("Save returned nil, but the cookie was never sent; c.Errors %d", errs)
	}
}

func TestRegression_handlecontextBodyless(t *testing.T) {
	r, b := plainApp(t)
	r.GET("/b", func(c *gin.Context) { ginsession.From(c).Set("second", 1); c.Status(204) })
	r.GET("/a", func(c *gin.Context) {
		ginsession.From(c).Set("first", 1)
		c.Request.URL.Path = "/b"
		r.HandleContext(c)
	})
	w := b.get("/a")
	if n := len(w.Result().Cookies()); n != 1 {
		t.Errorf("%d Set-Cookie lines of one name", n)
	}
	if got := b.get("/keys").Body.String(); got != "second" {
		t.Errorf("keys=%q", got)
	}
}

func TestRegression_nestedHeldIsNotGone(t *testing.T) {
	r := newEngine(t)
	inner := ginsession.Must(ginsession.New(secret, ginsession.WithName("__Host-two"), ginsession.WithContextKey("two")))
	var errs []error
	r.Use(func(c *gin.Context) {
		c.Next()
		errs = append(errs, func() (e []error) {
			for _, x := range c.Errors {
				e = append(e, x.Err)
			}
			return
		}()...)
	})
	r.Use(func(c *gin.Context) { _, _ = c.Writer.WriteString("<html>"); c.Next() }) // held by the outer one
	r.GET("/", inner, func(c *gin.Context) { c.MustGet("two").(*ginsession.Session).Set("x", 1) })
	w := do(t, r, "GET", "/")
	if len(w.Result().Cookies()) != 1 {
		t.Errorf("headers had not left, yet no cookie: %v", errs)
	}
}

func TestRegression_clearOnEmptyKeepsPermanent(t *testing.T) {
	r, b := plainApp(t)
	r.GET("/x", func(c *gin.Context) {
		s := ginsession.From(c)
		s.SetPermanent(true)
		s.Clear()
		s.Set("a", 1)
		if s.Permanent() {
			t.Error("Clear left SetPermanent")
		}
	})
	b.get("/x")
}

func TestRegression_deleteThenClear(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/first/1")
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Delete("first")
		s.Clear()
		twin(b).get("/set/other/1")
	})
	b.get("/slow")
	if got := b.get("/keys").Body.String(); got != "" {
		t.Errorf("Clear is not replayed after Delete: keys=%q", got)
	}
}

func TestRegression_updateThenSetSame(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/inc")
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		ginsession.Update(s, "n", func(n int) int { return n + 1 })
		s.Set("n", 2) // the last word: 2
		twin(b).get("/inc")
	})
	r.GET("/n", func(c *gin.Context) { c.JSON(200, ginsession.From(c).GetInt("n")) })
	b.get("/slow")
	if got := b.get("/n").Body.String(); got != "2" {
		t.Errorf("Set is the last commit, n=%s, want 2", got)
	}
}

func TestRegression_lateClearSet(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/first/1")
	var errs int
	var err error
	r.GET("/x", func(c *gin.Context) {
		c.Writer.Flush()
		s := ginsession.From(c)
		s.Clear()
		s.Set("a", 1)
		err = s.Save()
	})
	b.get("/x")
	if err != nil {
		t.Errorf("saved, needs no cookie, yet: %v (%d)", err, errs)
	}
	r.GET("/y", func(c *gin.Context) { s := ginsession.From(c); s.Clear(); s.Set("b", 1) })
	if w := b.get("/y"); len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("Set-Cookie without need: %v", w.Header())
	}
}

func TestRegression_leak(t *testing.T) {
	r, b := plainApp(t)
	r.GET("/x", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("pw", json.Number("hunter2"))
		if strings.Contains(s.Err().Error(), "hunter2") {
			t.Error(s.Err())
		}
	})
	b.get("/x")
}

// 16 late set on a record emptied meanwhile
func TestRegression_lateSetOnEmptied(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/first/1")
	r.GET("/empty", func(c *gin.Context) { ginsession.From(c).Delete("first") })
	var n int
	r.Use()
	r.GET("/x", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		c.Writer.Flush()
		b.get("/empty") // the browser drops its cookie
		s.Set("a", 1)
		err := s.Save()
		if err == nil {
			n++
		}
	})
	req := twin(b)
	req.get("/x")
	if n == 1 && b.get("/keys").Body.String() != "a" {
		t.Errorf("Save said nil, but the browser has no cookie for it any more")
	}
}

// 17 stale content read after errEnded
func TestRegression_readsAfterEnded(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/user/alice")
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		twin(b).get("/logout")
		s.Set("x", 1)
		_ = s.Save()
		if s.GetString("user") != "" || s.Rejected() == nil {
			t.Errorf("Save said ended, session still shows user=%q rejected=%v", s.GetString("user"), s.Rejected())
		}
	})
	b.get("/slow")
}

// A log-in that meets the end of the old session keeps its flash.
func TestRegression_renewOverEndedKeepsFlash(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/set/cart/1")
	r.GET("/login", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Keys()
		twin(b).get("/logout") // in parallel
		s.Renew()
		s.AddFlash("welcome", "")
	})
	r.GET("/flashes", func(c *gin.Context) { c.String(200, "%v", ginsession.From(c).Flashes()) })
	b.get("/login")
	if got := b.get("/flashes").Body.String(); !strings.Contains(got, "welcome") {
		t.Errorf("the flash of the log-in is lost: %q", got)
	}
}

// Header lines that others have taken hold of stay as they are.
func TestRegression_headerLines(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		s, h := ginsession.From(c), c.Writer.Header()
		s.Set("a", 1)
		_ = s.Save()
		kept := c.Writer.Header()["Set-Cookie"]
		before := kept[0]
		h["Vary"][0] = "Accept-Encoding"
		s.Set("a", 2)
		_ = s.Save()
		if kept[0] != before {
			t.Error("a line that somebody kept has changed")
		}
	})
	w := do(t, r, http.MethodGet, "/")
	if got := strings.Join(w.Header()["Vary"], ", "); got != "Accept-Encoding, Cookie" || len(setCookies(w)) != 1 {
		t.Errorf("got Vary %q and %d cookies, want Accept-Encoding, Cookie and 1", got, len(setCookies(w)))
	}
}

type callback struct{}

var onUnmarshal func()

func (*callback) UnmarshalJSON([]byte) error { onUnmarshal(); return nil }

// A value's own method may use the session.
func TestRegression_popCallsBack(t *testing.T) {
	with(t, mustNew(t, secret), nil, func(s *ginsession.Session) {
		s.Set("a", map[string]int{"x": 1})
		onUnmarshal = func() { s.GetString("b") }
		if _, ok := ginsession.Pop[callback](s, "a"); !ok {
			t.Error("not popped")
		}
	})
}
