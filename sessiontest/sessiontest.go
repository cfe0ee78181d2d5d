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
// Time can pass on the clock of testing/synctest, for lifetimes and idle
// timeouts. The middleware may have a context key of its own. In its log the
// requests of this package are those to /sessiontest.
package sessiontest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// New returns the cookie of a session that fill has filled: with values, flash
// messages, permanent or not. It ends the test where the session cannot be
// saved or is left empty.
func New(tb testing.TB, middleware gin.HandlerFunc, fill func(*ginsession.Session)) *http.Cookie {
	tb.Helper()
	return Change(tb, middleware, nil, fill)
}

// Change lets change loose on the session behind a cookie, as a request
// between two others would, and returns the cookie that the browser has
// afterwards: the same one if it was not replaced, nil if it was expired. A nil
// cookie, or one that is not accepted, stands for a new session.
func Change(tb testing.TB, middleware gin.HandlerFunc, cookie *http.Cookie, change func(*ginsession.Session)) *http.Cookie {
	tb.Helper()
	var before []*http.Cookie
	if cookie != nil {
		before = append(before, cookie)
	}
	w := request(tb, middleware, before, func(s *ginsession.Session) {
		tb.Helper()
		change(s)
		if err := s.Save(); err != nil {
			tb.Fatalf("sessiontest: %v", err)
		}
	})
	for _, sent := range w.Result().Cookies() {
		if sent.MaxAge >= 0 {
			return sent
		}
		if cookie != nil && sent.Name == cookie.Name {
			return nil
		}
	}
	if cookie == nil {
		tb.Fatal("sessiontest: the new session is empty, so it has no cookie; set something in it")
	}
	return cookie
}

// Read returns the session behind the cookies that a response set or a browser
// has; those of other sessions and of the app may be among them. The session
// is there to be read: what is changed in it is not saved, and reading its
// flash messages takes none out. If no cookie is accepted it is a fresh one,
// whose Rejected says why.
func Read(tb testing.TB, middleware gin.HandlerFunc, cookies ...*http.Cookie) *ginsession.Session {
	tb.Helper()
	var session *ginsession.Session
	request(tb, middleware, cookies, func(s *ginsession.Session) {
		tb.Helper()
		s.Keys() // load it while the request is there
		if err := s.Err(); err != nil {
			tb.Fatalf("sessiontest: %v", err)
		}
		session = s
	})
	return session
}

// request runs a handler behind the middleware.
func request(tb testing.TB, middleware gin.HandlerFunc, cookies []*http.Cookie, handle func(*ginsession.Session)) *httptest.ResponseRecorder {
	tb.Helper()
	w, engine := httptest.NewRecorder(), gin.New()
	engine.Use(middleware)
	engine.GET("/sessiontest", func(c *gin.Context) {
		tb.Helper()
		for _, value := range c.Keys { // under whatever context key
			if s, ok := value.(*ginsession.Session); ok {
				handle(s)
				return
			}
		}
		tb.Fatal("sessiontest: the middleware is not one of ginsession.New")
	})
	req := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/sessiontest", nil)
	for _, k := range cookies {
		if k.MaxAge >= 0 {
			req.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value}) //nolint:gosec // requests carry no attributes
		}
	}
	engine.ServeHTTP(w, req)
	return w
}
