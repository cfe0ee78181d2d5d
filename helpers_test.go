package ginsession_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
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

func (b *browser) post(path string, form url.Values) *httptest.ResponseRecorder {
	var body io.Reader = http.NoBody
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req := httptest.NewRequest(http.MethodPost, path, body)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
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
	if lines := setCookies(w); w.Code != http.StatusOK || len(lines) != 0 {
		t.Errorf("%s: got %d and %q, want 200 and no cookie", what, w.Code, lines)
	}
}

const otherSecret = "another secret, also of 32 bytes or more"

// with sends one request to a handler behind one middleware.
func with(t testing.TB, h gin.HandlerFunc, cookies []*http.Cookie, fn func(*ginsession.Session)) *httptest.ResponseRecorder {
	t.Helper()
	r := gin.New()
	r.Use(h)
	r.GET("/", func(c *gin.Context) { fn(c.MustGet(contextKey(c)).(*ginsession.Session)) })
	return do(t, r, http.MethodGet, "/", cookies...)
}

// contextKey finds the one session of a context, under whatever key.
func contextKey(c *gin.Context) any {
	for key, v := range c.Keys {
		if _, ok := v.(*ginsession.Session); ok {
			return key
		}
	}
	return ginsession.Key
}

func mustNew(t testing.TB, secret string, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// cookieOf returns the cookie of a session in which "who" is set.
func cookieOf(t testing.TB, h gin.HandlerFunc, who string) *http.Cookie {
	t.Helper()
	w := with(t, h, nil, func(s *ginsession.Session) { s.Set("who", who) })
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got %d cookies, want 1: %v", len(cookies), w.Header())
	}
	return cookies[0]
}

// seen is what a handler sees of a session.
type seen struct {
	who      string
	isNew    bool
	rejected error
}

func look(t testing.TB, h gin.HandlerFunc, cookies ...*http.Cookie) (got seen) {
	t.Helper()
	with(t, h, cookies, func(s *ginsession.Session) { got = seen{s.GetString("who"), s.IsNew(), s.Rejected()} })
	return got
}

func setCookies(w *httptest.ResponseRecorder) []string { return w.Header()["Set-Cookie"] }

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

// silent is a store that does not answer.
type silent struct{ ginsession.Store }

func (silent) Load(context.Context, string) (ginsession.Record, error) {
	return ginsession.Record{}, errors.New("no answer")
}
