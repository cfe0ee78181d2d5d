package gincontrib_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/gincontrib"
)

const secret = "a secret of the tests, 32 bytes or more"

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

func our(t testing.TB, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	m, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// user is a browser that keeps cookies by their names.
type user struct {
	t       testing.TB
	h       http.Handler
	cookies map[string]string
}

func newUser(t testing.TB, h http.Handler) *user { return &user{t, h, map[string]string{}} }

// send sends a form, if there are fields (names and values in turn), or a GET.
func (u *user) send(path string, fields ...string) *http.Response {
	method, form := http.MethodGet, url.Values{}
	for i := 0; i < len(fields); i += 2 {
		method = http.MethodPost
		form.Set(fields[i], fields[i+1])
	}
	req := httptest.NewRequestWithContext(u.t.Context(), method, path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range maps.Clone(u.cookies) {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	u.h.ServeHTTP(w, req)
	resp := w.Result()
	for _, k := range resp.Cookies() {
		if k.MaxAge < 0 {
			delete(u.cookies, k.Name)
		} else {
			u.cookies[k.Name] = k.Value
		}
	}
	return resp
}

// scene runs handlers in requests of one browser, one after the other.
type scene struct {
	t      testing.TB
	user   *user
	next   gin.HandlerFunc
	mu     sync.Mutex // for errors, if requests run in parallel
	errors []error    // of the last request
}

func newScene(t testing.TB, middleware ...gin.HandlerFunc) *scene {
	t.Helper()
	s := &scene{t: t}
	r := gin.New()
	r.Use(func(c *gin.Context) {
		c.Next()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.errors = nil
		for _, e := range c.Errors {
			s.errors = append(s.errors, e.Err)
		}
	})
	r.Use(middleware...)
	r.GET("/", func(c *gin.Context) { s.next(c) })
	s.user = newUser(t, r)
	return s
}

// bridged is a scene on the bridge.
func bridged(t testing.TB, opts ...ginsession.Option) *scene {
	t.Helper()
	return newScene(t, our(t, opts...), gincontrib.Bridge())
}

func (s *scene) request(handle gin.HandlerFunc) *http.Response {
	s.t.Helper()
	s.next = handle
	return s.user.send("/")
}

// theirs runs a handler of gin-contrib/sessions that ends with Save.
func (s *scene) theirs(handle func(sessions.Session)) *http.Response {
	s.t.Helper()
	return s.request(func(c *gin.Context) {
		session := sessions.Default(c)
		handle(session)
		if err := session.Save(); err != nil {
			s.t.Errorf("Save: %v", err)
		}
	})
}

// ours runs a handler of ginsession.
func (s *scene) ours(handle func(*ginsession.Session)) *http.Response {
	s.t.Helper()
	return s.request(func(c *gin.Context) { handle(ginsession.From(c)) })
}
