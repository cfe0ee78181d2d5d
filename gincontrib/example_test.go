package gincontrib_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/gincontrib"
)

// A handler that has moved, and one that has not, share a session.
func ExampleBridge() {
	r := gin.New()
	r.Use(ginsession.Must(ginsession.New("keep this secret, 32 bytes or more")))
	r.Use(gincontrib.Bridge()) // in place of sessions.Sessions("mysession", store)

	r.GET("/login", func(c *gin.Context) {
		session := sessions.Default(c)
		session.Set("id", uint(7))
		session.Set("name", "Ada")
		_ = session.Save()
	})
	r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "%d %s", s.GetInt("id"), s.GetString("name"))
	})

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/login", nil))
	req := httptest.NewRequest("GET", "/", nil)
	for _, k := range w.Result().Cookies() {
		req.AddCookie(k)
	}
	w = httptest.NewRecorder()
	r.ServeHTTP(w, req)
	fmt.Println(w.Body)
	// Output: 7 Ada
}
