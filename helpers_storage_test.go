package ginsession_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/flasktest"
)

// What is left here is for store_test.go, regression_test.go and docs_test.go.

func pythonWithFlask(t *testing.T) string { return flasktest.Python(t) }

// sessionApp is an app with a session in Memcached.
func sessionApp(t testing.TB, opts ...ginsession.Option) *gin.Engine {
	t.Helper()
	r := newEngine(t, opts...)
	r.GET("/set/:key/:value", func(c *gin.Context) {
		ginsession.From(c).Set(c.Param("key"), c.Param("value"))
		c.String(http.StatusOK, "set")
	})
	r.GET("/delete/:key", func(c *gin.Context) { ginsession.From(c).Delete(c.Param("key")) })
	r.GET("/get/:key", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "%s new=%v rejected=%v", s.GetString(c.Param("key")), s.IsNew(), s.Rejected())
	})
	r.GET("/large/:n", func(c *gin.Context) {
		var n int
		_, _ = fmt.Sscan(c.Param("n"), &n)
		ginsession.From(c).Set("large", strings.Repeat("x", n))
		c.String(http.StatusOK, "large")
	})
	r.GET("/renew", func(c *gin.Context) { ginsession.From(c).Renew() })
	r.GET("/logout", func(c *gin.Context) { ginsession.From(c).Destroy() })
	r.GET("/untouched", func(c *gin.Context) { c.String(http.StatusOK, "untouched") })
	return r
}

func wantBody(t *testing.T, b *browser, path string, status int, body string) {
	t.Helper()
	if w := b.get(path); w.Code != status || w.Body.String() != body {
		t.Errorf("GET %s: got %d %q, want %d %q", path, w.Code, w.Body, status, body)
	}
}

const loaded = " new=false rejected=<nil>"

// spy is a store whose calls are looked at, and whose replies can be lost.
type spy struct {
	ginsession.Store
	loads   int
	expires time.Time
	after   func(ginsession.Record) error // gives the error of a save that was done
}

func (s *spy) Load(ctx context.Context, id string) (ginsession.Record, error) {
	s.loads++
	return s.Store.Load(ctx, id)
}

func (s *spy) Save(ctx context.Context, id string, r ginsession.Record) error {
	s.expires = r.Expires
	err := s.Store.Save(ctx, id, r)
	if err == nil && s.after != nil {
		return s.after(r)
	}
	return err
}
