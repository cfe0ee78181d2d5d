package ginsession_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memstore"
)

// story is a browser with a stored session that holds a: 1, and an app that
// does during /act what a test says. While /act runs, other requests may come.
type story struct {
	*browser
	t *testing.T
}

func newStory(t *testing.T, act func(s *ginsession.Session, other *story), opts ...ginsession.Option) *story {
	t.Helper()
	r := newEngine(t, append([]ginsession.Option{ginsession.WithStore(memstore.New())}, opts...)...)
	st := &story{newBrowser(r), t}
	r.GET("/start", func(c *gin.Context) { ginsession.From(c).Set("a", 1) })
	r.GET("/logout", func(c *gin.Context) { ginsession.From(c).Destroy() })
	r.GET("/login", func(c *gin.Context) { s := ginsession.From(c); s.Renew(); s.Set("user", 42) })
	r.GET("/b", func(c *gin.Context) { ginsession.From(c).Set("b", 2) })
	r.GET("/act", func(c *gin.Context) { act(ginsession.From(c), st) })
	r.GET("/keys", func(c *gin.Context) { c.String(http.StatusOK, "%v", ginsession.From(c).Keys()) })
	st.get("/start")
	return st
}

// elsewhere gets a path from a tab whose response the browser sees first, or,
// without seen, not at all.
func (st *story) elsewhere(path string, seen bool) {
	if seen {
		st.get(path)
		return
	}
	do(st.t, st.h, http.MethodGet, path, st.cookies["__Host-session"])
}

func (st *story) wantKeys(want string) {
	st.t.Helper()
	if got := st.get("/keys").Body.String(); got != want {
		st.t.Errorf("the browser finds %s, want %s", got, want)
	}
}

func save(t *testing.T, s *ginsession.Session) {
	t.Helper()
	if err := s.Save(); err != nil {
		t.Errorf("Save: %v", err)
	}
}

// A log-in on a session that is over begins anew, and goes on after a Save of
// nothing.
func TestSave_logInOnAnEndedSession(t *testing.T) {
	st := newStory(t, func(s *ginsession.Session, _ *story) {
		s.Renew()
		save(t, s)
		s.Set("user", 42)
	})
	old := *st.cookies["__Host-session"]
	st.get("/logout")
	st.cookies["__Host-session"] = &old
	st.get("/act")
	st.wantKeys("[user]")
}

// What an earlier Save of the request has put among the headers goes, once
// another tab has logged in.
func TestSave_thenEnded(t *testing.T) {
	for name, first := range map[string]func(*ginsession.Session){
		"permanent": func(s *ginsession.Session) { s.SetPermanent(true) },
		"emptied":   func(s *ginsession.Session) { s.Delete("a") },
	} {
		t.Run(name, func(t *testing.T) {
			st := newStory(t, func(s *ginsession.Session, other *story) {
				first(s)
				save(t, s)
				other.elsewhere("/login", true)
				s.Set("c", 3)
				if err := s.Save(); !errors.Is(err, ginsession.ErrUnknown) {
					t.Errorf("Save: got %v, want ErrUnknown", err)
				}
			})
			if lines := cookieLines(st.get("/act")); len(lines) != 0 {
				t.Errorf("got %d cookies, want none", len(lines))
			}
			if got := st.get("/keys").Body.String(); !strings.Contains(got, "user") {
				t.Errorf("the log-in is lost: the browser finds %s", got)
			}
		})
	}
}

// An emptied session that others fill again keeps its cookie.
func TestSave_emptiedAndFilledByOthers(t *testing.T) {
	st := newStory(t, func(s *ginsession.Session, other *story) {
		s.Delete("a")
		save(t, s)
		other.elsewhere("/b", false)
		s.Set("c", 3)
	})
	st.get("/act")
	st.wantKeys("[b c]")
}

// A later value of permanent, another request's, holds for the cookie too.
func TestSave_permanentByOthers(t *testing.T) {
	var r *gin.Engine
	st := newStory(t, func(s *ginsession.Session, _ *story) {
		s.SetPermanent(true)
		save(t, s)
	})
	r = st.h.(*gin.Engine)
	r.GET("/window", func(c *gin.Context) { ginsession.From(c).SetPermanent(false) })
	r.GET("/slow", func(c *gin.Context) {
		s := ginsession.From(c)
		s.SetPermanent(true)
		save(t, s)
		st.elsewhere("/window", false)
		s.Set("c", 3)
	})
	if lines := cookieLines(st.get("/slow")); len(lines) != 1 || strings.Contains(lines[0], "Max-Age") {
		t.Errorf("got %d lines, want one without Max-Age", len(lines))
	}
}

// limited is a store that takes small records only.
type limited struct{ *memstore.Store }

func (l limited) Save(ctx context.Context, id string, r ginsession.Record) error {
	if len(r.Data) > 4000 {
		return ginsession.ErrTooLarge
	}
	return l.Store.Save(ctx, id, r)
}

// ID names nothing that was never stored.
func TestSave_refusedThenNothing(t *testing.T) {
	r := newEngine(t, ginsession.WithStore(limited{memstore.New()}))
	r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("big", strings.Repeat("x", 5000))
		if err := s.Save(); !errors.Is(err, ginsession.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
		s.Delete("big")
		save(t, s)
		if s.Set("a", 1); s.ID() != "" {
			t.Error("it has an ID before it is stored")
		}
		if save(t, s); s.ID() == "" {
			t.Error("it has no ID when it is stored")
		}
	})
	do(t, r, http.MethodGet, "/")
}

// Of two updates of one key the second may change nothing that is seen, and
// much of what others have left.
func TestUpdate_twice(t *testing.T) {
	take := func(s *ginsession.Session) {
		ginsession.Update(s, "stock", func(n int) int { return n - 1 })
		ginsession.Update(s, "stock", func(n int) int { return max(n, 0) })
	}
	st := newStory(t, func(s *ginsession.Session, other *story) {
		take(s)
		other.elsewhere("/take", false)
	})
	r := st.h.(*gin.Engine)
	r.GET("/stock", func(c *gin.Context) { ginsession.From(c).Set("stock", 1) })
	r.GET("/take", func(c *gin.Context) { take(ginsession.From(c)) })
	r.GET("/left", func(c *gin.Context) { c.String(http.StatusOK, "%d", ginsession.From(c).GetInt("stock")) })
	st.get("/stock")
	st.get("/act")
	if got := st.get("/left").Body.String(); got != "0" {
		t.Errorf("got %s left, want 0", got)
	}
}

// twoSessions is an app with a session of its visitors around one of its
// admins. /fail does something to that of the admins and cannot save the other.
func twoSessions(t *testing.T, do func(*ginsession.Session), opts ...ginsession.Option) *browser {
	t.Helper()
	r := gin.New()
	r.Use(gin.RecoveryWithWriter(io.Discard), newSessions(t))
	r.Use(newSessions(t, append(opts, ginsession.WithName("__Host-admin"), ginsession.WithContextKey("admin"))...))
	admin := func(c *gin.Context) *ginsession.Session { return c.MustGet("admin").(*ginsession.Session) }
	r.GET("/start", func(c *gin.Context) { admin(c).Set("user", "ann") })
	r.GET("/fail", func(c *gin.Context) { do(admin(c)); setBad(c) })
	r.GET("/panic", func(c *gin.Context) { do(admin(c)); save(t, admin(c)); panic("a bug") })
	r.GET("/show", func(c *gin.Context) { c.String(http.StatusOK, "%q", admin(c).GetString("user")) })
	b := newBrowser(r)
	b.get("/start")
	return b
}

// What became of the inner session holds, whatever becomes of the outer one.
func TestTwoSessions_outerFails(t *testing.T) {
	store := func() ginsession.Option { return ginsession.WithStore(memstore.New()) }
	for _, row := range []struct {
		name, path string
		opts       []ginsession.Option
		do         func(*ginsession.Session)
		want       string
	}{
		{"renewed", "/fail", []ginsession.Option{store()}, (*ginsession.Session).Renew, `"ann"`},
		{"renewed and saved", "/panic", []ginsession.Option{store()}, (*ginsession.Session).Renew, `"ann"`},
		{"destroyed", "/fail", nil, (*ginsession.Session).Destroy, `""`},
		{"destroyed and saved", "/panic", nil, (*ginsession.Session).Destroy, `""`},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := twoSessions(t, row.do, row.opts...)
			if w := b.get(row.path); w.Code != http.StatusInternalServerError {
				t.Errorf("got status %d, want 500", w.Code)
			}
			if got := b.get("/show").Body.String(); got != row.want {
				t.Errorf("the browser finds %s, want %s", got, row.want)
			}
		})
	}
}

// The same for two under one key: the inner one is hidden no more, and not lost.
func TestTwoSessions_outerFails_oneKey(t *testing.T) {
	r := newEngine(t)
	var outer *ginsession.Session
	r.Use(func(c *gin.Context) { outer = ginsession.From(c) })
	r.Use(newSessions(t, ginsession.WithName("__Host-inner"), ginsession.WithStore(memstore.New())))
	r.GET("/start", set)
	r.GET("/fail", func(c *gin.Context) { ginsession.From(c).Renew(); outer.Set("bad", make(chan int)) })
	r.GET("/get", get)
	b := newBrowser(r)
	b.get("/start")
	b.get("/fail")
	if got := b.get("/get").Body.String(); got != "ann" {
		t.Errorf("got %q, want the renewed session", got)
	}
}

// Flashes that were shown stay taken where another request was faster, and what
// it has added stays for later.
func TestFlashes_takenWhileOthersSave(t *testing.T) {
	st := newStory(t, func(s *ginsession.Session, other *story) {
		if got := s.Flashes("error"); len(got) != 1 {
			t.Errorf("got %d flashes, want 1", len(got))
		}
		other.elsewhere("/flash", false)
	})
	st.h.(*gin.Engine).GET("/flash", func(c *gin.Context) {
		s := ginsession.From(c)
		s.AddFlash("wrong", "error")
		s.AddFlash("right", "")
	})
	st.h.(*gin.Engine).GET("/count", func(c *gin.Context) { c.String(http.StatusOK, "%d", len(ginsession.From(c).Flashes())) })
	st.get("/flash")
	st.get("/act")
	if got := st.get("/count").Body.String(); got != "3" {
		t.Errorf("got %s flashes, want 3: one was taken, and two were added", got)
	}
}

// Where Flask's cookie and ours have one name, one line expires both, and it is
// the last one.
func TestSave_flaskCookieOfOurName(t *testing.T) {
	const flaskSecret = "the secret of the Flask app, long"
	r := newEngine(t, ginsession.WithName("session"), ginsession.WithFlaskMigration(flaskSecret))
	r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Clear()
		save(t, s)
		s.Set("user", 42)
		save(t, s)
		s.Destroy()
	})
	r.GET("/user", func(c *gin.Context) { c.String(http.StatusOK, "%d", ginsession.From(c).GetInt("user")) })
	b := newBrowser(r)
	b.cookies["session"] = &http.Cookie{Name: "session", Value: ginsession.SignFlask(flaskSecret, `{"user":7}`, time.Now())}
	if lines := cookieLines(b.get("/")); len(lines) != 1 {
		t.Errorf("got %d lines, want one", len(lines))
	}
	if got := b.get("/user").Body.String(); got != "0" {
		t.Errorf("after the log-out the browser is user %s", got)
	}
}

// Mounted once more, inside another one under the same key, a middleware shows
// its session again.
func TestTwoSessions_mountedAgain(t *testing.T) {
	a, b := newSessions(t), newSessions(t, ginsession.WithName("__Host-b"))
	name := func(who string) gin.HandlerFunc { return func(c *gin.Context) { ginsession.From(c).Set("who", who) } }
	who := func(c *gin.Context) { c.String(http.StatusOK, "%s", ginsession.From(c).GetString("who")) }
	r := gin.New()
	r.Use(a)
	r.GET("/a", name("a"))
	r.GET("/b", b, name("b"))
	r.GET("/show", b, func(c *gin.Context) { c.Next(); who(c) }, a, who)
	browser := newBrowser(r)
	browser.get("/a")
	browser.get("/b")
	if got := browser.get("/show").Body.String(); got != "ab" {
		t.Errorf("got %q, want that of a inside and that of b outside", got)
	}
}
