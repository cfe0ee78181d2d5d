package ginsession_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// sessionApp is an app with a route for each operation.
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
