package sessiontest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/sessiontest"
)

// TestNew starts from a session, reads and changes it, and logs out.
func TestNew(t *testing.T) {
	for name, opts := range map[string][]ginsession.Option{
		"cookie":      {},
		"memcached":   {ginsession.WithMemcached(memcachedtest.Start(t).Addr)},
		"flask":       {ginsession.WithFlaskCookie()},
		"context key": {ginsession.WithContextKey("other"), ginsession.WithName("other")},
	} {
		t.Run(name, func(t *testing.T) {
			h := apptest.Middleware(t, apptest.Secret, opts...)
			cookie := sessiontest.New(t, h, func(s *ginsession.Session) {
				s.Set("user", "Ada")
				s.AddFlash("Welcome", "success")
				s.SetPermanent(true)
			})
			for range 2 { // reading takes nothing out
				s := sessiontest.Read(t, h, &http.Cookie{Name: "unrelated", Value: "x"}, cookie)
				if s.GetString("user") != "Ada" || !s.Permanent() || !slices.Equal(s.Flashes(), []ginsession.Flash{{Message: "Welcome", Category: "success"}}) {
					t.Errorf("got %v, permanent %v", s.Keys(), s.Permanent())
				}
			}
			changed := sessiontest.Change(t, h, cookie, func(s *ginsession.Session) { s.Set("cart", 1) })
			if got := sessiontest.Read(t, h, changed).Keys(); !slices.Equal(got, []string{"cart", "user"}) {
				t.Errorf("got %q, want cart and user", got)
			}
			if left := sessiontest.Change(t, h, changed, (*ginsession.Session).Destroy); left != nil {
				t.Error("the browser has a cookie after the log-out")
			}
			if s := sessiontest.Read(t, h); !s.IsNew() || s.Len() != 0 {
				t.Error("without a cookie there is a session")
			}
		})
	}
}

// TestChange_flaskMigration: the first line of such a response expires Flask's
// cookie.
func TestChange_flaskMigration(t *testing.T) {
	flask := sessiontest.New(t, apptest.Middleware(t, apptest.Secret, ginsession.WithFlaskCookie()), func(s *ginsession.Session) { s.Set("user", "Ada") })
	h := apptest.Middleware(t, apptest.Secret, ginsession.WithFlaskMigration(apptest.Secret))
	cookie := sessiontest.Change(t, h, flask, func(s *ginsession.Session) { s.Set("cart", 1) })
	if got := sessiontest.Read(t, h, cookie).Keys(); !slices.Equal(got, []string{"cart", "user"}) || cookie.Name == flask.Name {
		t.Errorf("got %q, want cart and user in a cookie of ours", got)
	}
	if left := sessiontest.Change(t, h, flask, (*ginsession.Session).Destroy); left != nil {
		t.Error("the browser has a cookie after the log-out")
	}
}

func TestRead_afterLogOut(t *testing.T) {
	h := apptest.Middleware(t, apptest.Secret)
	cookie := sessiontest.New(t, h, func(s *ginsession.Session) { s.Set("user", "Ada") })
	if s := sessiontest.Read(t, h, sessiontest.Change(t, h, cookie, (*ginsession.Session).Destroy)); !s.IsNew() || s.Rejected() != nil {
		t.Errorf("a session is left: %q, %v", s.Keys(), s.Rejected())
	}
}

// TestRead_save: nothing of what is read is saved, unless that is asked for.
func TestRead_save(t *testing.T) {
	h := apptest.Middleware(t, apptest.Secret, ginsession.WithStore(apptest.NewStore()))
	cookie := sessiontest.New(t, h, func(s *ginsession.Session) { s.AddFlash("Welcome", "") })
	for _, save := range []bool{false, true} {
		s := sessiontest.Read(t, h, cookie)
		if len(s.Flashes()) != 1 {
			t.Fatal("the flash message is not there")
		}
		if save {
			if err := s.Save(); err != nil {
				t.Error(err)
			}
		}
	}
	if s := sessiontest.Read(t, h, cookie); len(s.Flashes()) != 0 {
		t.Error("the flash message is there still")
	}
}

// mistakes are what ends a test.
func mistakes(t *testing.T) map[string]func(*testing.T) {
	t.Helper()
	h := apptest.Middleware(t, apptest.Secret, ginsession.WithValidator(func(context.Context, *ginsession.Session) (bool, error) {
		return false, errors.New("no database")
	}))
	down := apptest.NewStore()
	down.Hook(func(apptest.Call) apptest.Fault { return apptest.Fault{Before: apptest.ErrStore} })
	full := func(s *ginsession.Session) { s.Set("user", "Ada") }
	cookie := sessiontest.New(t, h, full)
	return map[string]func(*testing.T){
		"empty":   func(t *testing.T) { sessiontest.New(t, h, func(*ginsession.Session) {}) },
		"unsaved": func(t *testing.T) { sessiontest.New(t, h, func(s *ginsession.Session) { s.Set("f", func() {}) }) },
		"change":  func(t *testing.T) { sessiontest.Change(t, h, cookie, full) },
		"read":    func(t *testing.T) { sessiontest.Read(t, h, cookie) },
		"not one": func(t *testing.T) { sessiontest.Read(t, func(*gin.Context) {}, cookie) },
		"of a store": func(t *testing.T) {
			sessiontest.New(t, apptest.Middleware(t, apptest.Secret, ginsession.WithStore(down)), full)
		},
	}
}

// TestNew_fails fails on purpose, in a process of its own, and each time at a
// line of this file.
func TestNew_fails(t *testing.T) {
	const child = "SESSIONTEST_MISTAKES"
	if os.Getenv(child) != "" {
		for name, mistake := range mistakes(t) {
			t.Run(name, mistake)
		}
		return
	}
	out, err := apptest.Rerun(t, "TestNew_fails", child+"=1")
	here := regexp.MustCompile(`(?m)^    +sessiontest_test\.go:\d+: sessiontest: .`).FindAllString(out, -1)
	if want := len(mistakes(t)); err == nil || len(here) != want {
		t.Errorf("got %v and %d failures at lines of this file, want %d:\n%s", err, len(here), want, out)
	}
}

func Example() {
	session := ginsession.Must(ginsession.New(apptest.Secret))
	app := gin.New()
	app.Use(session)
	app.POST("/cart", func(c *gin.Context) {
		s := ginsession.From(c)
		if !s.Has("user_id") {
			c.Status(http.StatusForbidden)
			return
		}
		ginsession.Update(s, "items", func(n int) int { return n + 1 })
	})

	var t testing.TB = new(testing.T) // the test's
	req := httptest.NewRequest(http.MethodPost, "/cart", nil)
	req.AddCookie(sessiontest.New(t, session, func(s *ginsession.Session) { s.Set("user_id", 42) }))
	w := httptest.NewRecorder()
	app.ServeHTTP(w, req)

	fmt.Println(w.Code, sessiontest.Read(t, session, w.Result().Cookies()...).GetInt("items"))
	// Output: 200 1
}
