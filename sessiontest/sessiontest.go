// Package sessiontest lets an app's tests begin with any session, such as that
// of a user who is logged in, and look into the one that a response left. It
// goes through the app's own middleware, so it works wherever sessions are
// kept. It is what Flask calls session_transaction.
//
//	cookie := sessiontest.New(t, middleware, func(s *ginsession.Session) {
//		s.Set("user_id", 42)
//	})
//	req := httptest.NewRequest("POST", "/cart", body)
//	req.AddCookie(cookie)
//	w := httptest.NewRecorder()
//	app.ServeHTTP(w, req)
//
//	s := sessiontest.Read(t, middleware, w.Result().Cookies()...)
//	if s.GetInt("items") != 1 { … }
//
// A test without an engine, which calls a handler with a [gin.Context] of its
// own, does that through [Handle].
//
// The middleware is the one that [ginsession.New] gives: build it once, and
// hand it to the app and to these functions. With gin.SetMode(gin.TestMode), or
// GIN_MODE=test in the environment, gin prints none of its debug lines.
//
// Time can pass on the clock of testing/synctest, for lifetimes and idle
// timeouts. The middleware may have a context key of its own. In its log the
// requests of this package are those to /sessiontest.
package sessiontest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// New returns the cookie of a session that fill has filled: with values, flash
// messages, permanent or not. It ends the test if the session cannot be
// saved or is left empty.
func New(tb testing.TB, middleware gin.HandlerFunc, fill func(*ginsession.Session)) *http.Cookie {
	tb.Helper()
	return Change(tb, middleware, nil, fill)
}

// Change lets change loose on the session behind a cookie, as a request
// between two others would, and returns the cookie that the browser has
// afterwards: the same one if it was not replaced, nil if it was expired. A nil
// cookie, or one that is not accepted, stands for a new session. It ends the
// test if the store or the validator fails, or the session cannot be saved.
func Change(tb testing.TB, middleware gin.HandlerFunc, cookie *http.Cookie, change func(*ginsession.Session)) *http.Cookie {
	tb.Helper()
	var before []*http.Cookie
	if cookie != nil {
		before = append(before, cookie)
	}
	w := request(tb, middleware, before, func(s *ginsession.Session) error {
		change(s)
		return s.Save()
	})
	sent := w.Result().Cookies()
	for _, k := range sent { // there may be one that expires another: Flask's
		if k.MaxAge >= 0 {
			return k
		}
	}
	if cookie == nil {
		tb.Fatal("sessiontest: the new session is empty, so it has no cookie; set something in it")
	}
	if slices.ContainsFunc(sent, func(k *http.Cookie) bool { return k.Name == cookie.Name }) {
		return nil
	}
	return cookie
}

// Read returns the session behind the cookies that a response set or a browser
// has; those of other sessions and of the app may be among them. The session
// is there to be read: nothing of it is saved unless its Save is called, so
// reading its flash messages takes none out. If no cookie is accepted it is a
// fresh one, whose Rejected returns why. Nil cookies are skipped. Read ends the
// test if the store or the validator fails.
func Read(tb testing.TB, middleware gin.HandlerFunc, cookies ...*http.Cookie) *ginsession.Session {
	tb.Helper()
	var session *ginsession.Session
	request(tb, middleware, cookies, func(s *ginsession.Session) error {
		session = s
		s.Keys() // load it while the request is there
		return s.Err()
	})
	return session
}

// Handle calls a handler with a context of the test's own, such as that of
// [gin.CreateTestContext], as an engine would call it behind the middleware: the
// handler finds the session that the cookies of c.Request stand for, the session
// is saved when the handler returns, and the response, status and Set-Cookie
// lines included, goes to c.Writer. If the session cannot be saved, that is the
// error page.
//
//	w := httptest.NewRecorder()
//	c, _ := gin.CreateTestContext(w)
//	c.Request = httptest.NewRequest("POST", "/cart", body)
//	c.Request.AddCookie(sessiontest.New(t, middleware, fill))
//	sessiontest.Handle(t, c, middleware, addToCart) // in place of addToCart(c)
//
// Params and keys of c are the test's, c.Errors has the session's errors
// too, and c.Next does nothing. Afterwards the session can be read from c, and
// [Read] returns what was saved. A context without a request gets one: GET /.
// If the handler needs two sessions, the handler of one Handle calls another.
func Handle(tb testing.TB, c *gin.Context, middleware, handler gin.HandlerFunc) {
	tb.Helper()
	if c.Request == nil {
		c.Request = httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	}
	writer, request, found := c.Writer, c.Request, false
	defer func() { c.Writer, c.Request = writer, request }()
	engine := gin.New()
	engine.Use(func(inner *gin.Context) {
		defer func() { c.Errors = append(c.Errors, inner.Errors...) }()
		inner.Next()
	}, middleware)
	routed := request.WithContext(request.Context())
	routed.Method, routed.URL = cmp.Or(request.Method, http.MethodGet), &url.URL{Path: path}
	engine.Handle(routed.Method, path, func(inner *gin.Context) {
		for key, value := range inner.Keys {
			_, isSession := value.(*ginsession.Session)
			found = found || isSession
			c.Set(key, value)
		}
		if found {
			c.Writer, c.Request = inner.Writer, request.WithContext(inner.Request.Context())
			handler(c)
		}
	})
	engine.ServeHTTP(writer, routed)
	if !found {
		tb.Fatalf("sessiontest: %v", errMiddleware)
	}
	writer.WriteHeaderNow() // an engine does that
}

// path is that of the requests of this package.
const path = "/sessiontest"

var errMiddleware = errors.New("the middleware is not one of ginsession.New")

// request runs a handler behind the middleware. It fails when it is back from
// gin: a failure shows the line of the test if helpers alone lie in between.
func request(tb testing.TB, middleware gin.HandlerFunc, cookies []*http.Cookie, handle func(*ginsession.Session) error) *httptest.ResponseRecorder {
	tb.Helper()
	err := errMiddleware
	w, engine := httptest.NewRecorder(), gin.New()
	engine.Use(middleware)
	engine.GET(path, func(c *gin.Context) {
		for _, value := range c.Keys { // under whatever context key
			if s, ok := value.(*ginsession.Session); ok {
				err = handle(s)
				return
			}
		}
	})
	req := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
	for _, k := range cookies {
		if k != nil && k.MaxAge >= 0 {
			req.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value}) //nolint:gosec // requests carry no attributes
		}
	}
	engine.ServeHTTP(w, req)
	if err != nil {
		tb.Fatalf("sessiontest: %v", err)
	}
	return w
}
