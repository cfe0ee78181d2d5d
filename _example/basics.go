package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// These three answer GET, to be easy to try. A real app changes things by POST
// only: links are followed by crawlers, and fetched ahead by browsers.
func addBasics(r gin.IRouter) {
	r.GET("/setsession", setSession)
	r.GET("/getsession", getSession)
	r.GET("/popsession", popSession)
}

func setSession(c *gin.Context) {
	ginsession.From(c).Set("username", "Admin")
	c.String(http.StatusOK, "Session set for Admin")
}

func getSession(c *gin.Context) {
	name, ok := ginsession.Get[string](ginsession.From(c), "username")
	if !ok {
		name = "Anonymous"
	}
	c.String(http.StatusOK, "Welcome %s", name)
}

func popSession(c *gin.Context) {
	name, ok := ginsession.Pop[string](ginsession.From(c), "username")
	if !ok {
		c.String(http.StatusOK, "Nothing to pop")
		return
	}
	c.String(http.StatusOK, "Session popped for %s", name)
}
