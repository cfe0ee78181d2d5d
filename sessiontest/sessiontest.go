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
// The middleware is the one that [ginsession.New] gives: build it once, and
// hand it to the app and to these functions. With gin.SetMode(gin.TestMode), or
// GIN_MODE=test in the environment, gin prints none of its debug lines.
//
// Time can pass on the clock of testing/synctest, for lifetimes and idle
// timeouts. The middleware may have a context key of its own. In its log the
// requests of this package are those to /sessiontest.
package sessiontest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
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

// request runs a handler behind the middleware. It fails when it is back from
// gin: a failure shows the line of the test if helpers alone lie in between.
func request(tb testing.TB, middleware gin.HandlerFunc, cookies []*http.Cookie, handle func(*ginsession.Session) error) *httptest.ResponseRecorder {
	tb.Helper()
	err := errors.New("the middleware is not one of ginsession.New")
	w, engine := httptest.NewRecorder(), gin.New()
	engine.Use(middleware)
	engine.GET("/sessiontest", func(c *gin.Context) {
		for _, value := range c.Keys { // under whatever context key
			if s, ok := value.(*ginsession.Session); ok {
				err = handle(s)
				return
			}
		}
	})
	req := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/sessiontest", nil)
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
