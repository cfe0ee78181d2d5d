package sessiontest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/sessiontest"
)

const secret = "a secret of the tests, 32 bytes or more"

func middleware(t testing.TB, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	gin.SetMode(gin.TestMode)
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSessions(t *testing.T) {
	for name, opts := range map[string][]ginsession.Option{
		"cookie":      {},
		"memcached":   {ginsession.WithMemcached(memcachedtest.Start(t).Addr)},
		"flask":       {ginsession.WithFlaskCookie()},
		"context key": {ginsession.WithContextKey("other"), ginsession.WithName("other")},
	} {
		t.Run(name, func(t *testing.T) {
			h := middleware(t, opts...)
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

func Example() {
	gin.SetMode(gin.TestMode)
	session := ginsession.Must(ginsession.New(secret))
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
