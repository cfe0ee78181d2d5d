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
	"strings"
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

// bare returns what a test without an engine has.
func bare(cookies ...*http.Cookie) (*gin.Context, *httptest.ResponseRecorder) {
	w := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(w)
	c.Request = httptest.NewRequest(http.MethodPost, "/cart?n=2", strings.NewReader("n=3"))
	c.Request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, k := range cookies {
		c.Request.AddCookie(k)
	}
	return c, w
}

// TestHandle wants the test's context in the handler, with the session, and the
// response of an engine.
func TestHandle(t *testing.T) {
	for name, opts := range map[string][]ginsession.Option{
		"cookie":          {},
		"store":           {ginsession.WithStore(apptest.NewStore())},
		"request context": {ginsession.WithRequestContext()},
	} {
		t.Run(name, func(t *testing.T) {
			h := apptest.Middleware(t, apptest.Secret, opts...)
			c, w := bare(sessiontest.New(t, h, func(s *ginsession.Session) { s.Set("user", "Ada") }))
			c.Params = gin.Params{{Key: "id", Value: "7"}}
			c.Set("admin", true)
			writer := c.Writer
			sessiontest.Handle(t, c, h, func(got *gin.Context) {
				s := ginsession.From(c)
				if got != c || s.GetString("user") != "Ada" || c.Param("id") != "7" || !c.GetBool("admin") ||
					c.Request.Method != http.MethodPost || c.Query("n") != "2" || c.PostForm("n") != "3" {
					t.Errorf("got the user %q, %v and %v", s.GetString("user"), c.Request, c.Keys)
				}
				if _, ok := ginsession.FromContext(c.Request.Context()); ok != (name == "request context") {
					t.Errorf("in the context of the request: %v", ok)
				}
				c.String(http.StatusCreated, "added")
				s.Set("items", 1) // after the response, which is held back
			})
			if w.Code != http.StatusCreated || w.Body.String() != "added" || c.Writer != writer || len(c.Errors) > 0 {
				t.Errorf("got %d %q, %v", w.Code, w.Body, c.Errors)
			}
			if got := ginsession.From(c).GetInt("items"); got != 1 {
				t.Errorf("in the context afterwards: got %d items, want 1", got)
			}
			cookies := append(c.Request.Cookies(), w.Result().Cookies()...) // of a store, the first stays
			if got := sessiontest.Read(t, h, cookies[len(cookies)-1]).Keys(); !slices.Equal(got, []string{"items", "user"}) {
				t.Errorf("saved: got %q, want items and user", got)
			}
		})
	}
}

// TestHandle_status wants a status without a body sent, as an engine does.
func TestHandle_status(t *testing.T) {
	h := apptest.Middleware(t, apptest.Secret)
	c, w := bare()
	sessiontest.Handle(t, c, h, func(c *gin.Context) {
		ginsession.From(c).Set("a", 1)
		c.Status(http.StatusNoContent)
	})
	if got := w.Result(); got.StatusCode != http.StatusNoContent || len(got.Cookies()) != 1 {
		t.Errorf("got %d and the cookies %v, want 204 and one", got.StatusCode, got.Cookies())
	}
}

func TestHandle_withoutRequest(t *testing.T) {
	w := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(w)
	sessiontest.Handle(t, c, apptest.Middleware(t, apptest.Secret), func(c *gin.Context) {
		c.String(http.StatusOK, "%s %s %v", c.Request.Method, c.Request.URL, ginsession.From(c).IsNew())
	})
	if got := w.Body.String(); got != "GET / true" {
		t.Errorf("got %q, want GET / and a new session", got)
	}
}

// TestHandle_fails wants the error page of an engine, and the error in the
// test's context.
func TestHandle_fails(t *testing.T) {
	c, w := bare()
	sessiontest.Handle(t, c, apptest.Middleware(t, apptest.Secret), func(c *gin.Context) {
		ginsession.From(c).Set("f", func() {})
		c.String(http.StatusOK, "saved")
	})
	if w.Code != http.StatusInternalServerError || len(c.Errors) != 1 || !errors.Is(c.Errors[0].Err, ginsession.ErrValue) {
		t.Errorf("got %d, %v, want 500 and an ErrValue", w.Code, c.Errors)
	}
}

// TestHandle_panics leaves the panic to the test, and the context as it was.
func TestHandle_panics(t *testing.T) {
	c, w := bare()
	writer, request := c.Writer, c.Request
	defer func() {
		if got := recover(); got != "broken" || c.Writer != writer || c.Request != request || len(w.Result().Cookies()) > 0 {
			t.Errorf("got the panic %v and the cookies %v", got, w.Result().Cookies())
		}
	}()
	sessiontest.Handle(t, c, apptest.Middleware(t, apptest.Secret), func(c *gin.Context) {
		ginsession.From(c).Set("a", 1)
		panic("broken")
	})
}

func TestHandle_twoSessions(t *testing.T) {
	shop := apptest.Middleware(t, apptest.Secret)
	prefs := apptest.Middleware(t, apptest.Secret, ginsession.WithName("prefs"), ginsession.WithContextKey("prefs"))
	c, w := bare()
	sessiontest.Handle(t, c, shop, func(c *gin.Context) {
		sessiontest.Handle(t, c, prefs, func(c *gin.Context) {
			ginsession.FromKey(c, "prefs").Set("b", 2)
		})
		ginsession.From(c).Set("a", 1) // the response is still held back
	})
	cookies := w.Result().Cookies()
	a, b := sessiontest.Read(t, shop, cookies...).GetInt("a"), sessiontest.Read(t, prefs, cookies...).GetInt("b")
	if a != 1 || b != 2 {
		t.Errorf("got %d and %d, want 1 and 2", a, b)
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
		"handle": func(t *testing.T) {
			c, _ := bare()
			sessiontest.Handle(t, c, func(*gin.Context) {}, func(*gin.Context) { panic("it is called") })
		},
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

// A test that calls a handler without an engine.
func ExampleHandle() {
	session := ginsession.Must(ginsession.New(apptest.Secret))
	addToCart := func(c *gin.Context) {
		s := ginsession.From(c)
		ginsession.Update(s, "items", func(n int) int { return n + 1 })
		c.String(http.StatusOK, "%s has %d", s.GetString("name"), s.GetInt("items"))
	}

	var t testing.TB = new(testing.T) // the test's
	w := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(w)
	c.Request = httptest.NewRequest(http.MethodPost, "/cart", nil)
	c.Request.AddCookie(sessiontest.New(t, session, func(s *ginsession.Session) { s.Set("name", "Ada") }))
	sessiontest.Handle(t, c, session, addToCart)

	fmt.Println(w.Body, sessiontest.Read(t, session, w.Result().Cookies()...).GetInt("items"))
	// Output: Ada has 1 1
}
