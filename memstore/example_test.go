package memstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/memstore"
)

// A copy of the cookie is worth nothing after the log-out.
func Example() {
	store := memstore.New(memstore.WithLimit(256 << 20))
	r := gin.New()
	r.Use(ginsession.Must(ginsession.New("keep this secret, 32 bytes or more", ginsession.WithStore(store))))
	r.POST("/login", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Renew()
		s.Set("name", "Ada")
	})
	r.POST("/logout", func(c *gin.Context) { ginsession.From(c).Destroy() })
	r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "%q, %v", s.GetString("name"), s.Rejected())
	})

	send := func(method, path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
		request, w := httptest.NewRequest(method, path, nil), httptest.NewRecorder()
		for _, cookie := range cookies {
			request.AddCookie(cookie)
		}
		r.ServeHTTP(w, request)
		return w
	}
	cookie := send(http.MethodPost, "/login").Result().Cookies()[0]
	fmt.Println(send(http.MethodGet, "/", cookie).Body)
	send(http.MethodPost, "/logout", cookie)
	fmt.Println(send(http.MethodGet, "/", cookie).Body)
	// Output:
	// "Ada", <nil>
	// "", ginsession: the session is not in the store
}
