package ginsession_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const secret = "a secret of the tests, 32 bytes or more"

// newEngine returns an engine with one session middleware and nothing else.
func newEngine(t testing.TB, opts ...ginsession.Option) *gin.Engine {
	t.Helper()
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	r := gin.New()
	r.Use(h)
	return r
}

// do sends one request without a body.
func do(t testing.TB, h http.Handler, method, path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, path, nil)
	for _, k := range cookies {
		req.AddCookie(k)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// browser keeps the cookies that a handler sets. It does not look at their
// path, domain or Secure.
type browser struct {
	h       http.Handler
	cookies map[string]*http.Cookie
}

func newBrowser(h http.Handler) *browser {
	return &browser{h: h, cookies: map[string]*http.Cookie{}}
}

func (b *browser) get(path string) *httptest.ResponseRecorder {
	return b.do(httptest.NewRequest(http.MethodGet, path, nil))
}

func (b *browser) do(req *http.Request) *httptest.ResponseRecorder {
	for _, k := range b.cookies {
		req.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, req)
	for _, k := range w.Result().Cookies() {
		if k.MaxAge < 0 {
			delete(b.cookies, k.Name)
			continue
		}
		b.cookies[k.Name] = k
	}
	return w
}

// wantOneError fails unless errs is one error that is want.
func wantOneError(t testing.TB, where string, errs []error, want error) {
	t.Helper()
	if len(errs) != 1 || !errors.Is(errs[0], want) {
		t.Errorf("%s: got %v, want one: %v", where, errs, want)
	}
}

// visitor is a browser whose every request runs a function on its session.
type visitor struct {
	*browser
	fn     func(*ginsession.Session)
	errors []error // c.Errors of the last request
}

func newVisitor(t testing.TB, opts ...ginsession.Option) *visitor {
	v := &visitor{}
	v.mount(t, opts...)
	return v
}

// mount puts the browser in front of an app with other options.
func (v *visitor) mount(t testing.TB, opts ...ginsession.Option) {
	r := gin.New()
	r.Use(func(c *gin.Context) {
		c.Next()
		v.errors = nil
		for _, err := range c.Errors {
			v.errors = append(v.errors, err.Err)
		}
	}, mustNew(t, secret, opts...))
	r.GET("/", func(c *gin.Context) { v.fn(ginsession.From(c)) })
	if v.browser == nil {
		v.browser = newBrowser(r)
	}
	v.h = r
}

func (v *visitor) visit(fn func(*ginsession.Session)) *httptest.ResponseRecorder {
	v.fn = fn
	return v.get("/")
}

// set visits once and sets keys and values.
func (v *visitor) set(pairs ...any) *httptest.ResponseRecorder {
	return v.visit(func(s *ginsession.Session) {
		for pair := range slices.Chunk(pairs, 2) {
			s.Set(pair[0].(string), pair[1])
		}
	})
}

// content visits once and looks at everything.
func (v *visitor) content() map[string]any {
	all := map[string]any{}
	v.visit(func(s *ginsession.Session) {
		for _, key := range s.Keys() {
			all[key] = s.Get(key)
		}
	})
	return all
}

// unwritten fails the test where a response sets a cookie or is no 200.
func unwritten(t *testing.T, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	if lines := w.Header()["Set-Cookie"]; w.Code != http.StatusOK || len(lines) != 0 {
		t.Errorf("%s: got %d and %q, want 200 and no cookie", what, w.Code, lines)
	}
}

const otherSecret = "another secret, also of 32 bytes or more"

func mustNew(t testing.TB, secret string, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
