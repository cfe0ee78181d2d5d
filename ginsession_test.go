package ginsession_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

func TestSession_lastsFromRequestToRequest(t *testing.T) {
	r := newEngine(t)
	r.POST("/set", func(c *gin.Context) { ginsession.From(c).Set("user", "ann") })
	r.GET("/get", func(c *gin.Context) { c.String(http.StatusOK, ginsession.From(c).GetString("user")) })

	b := newBrowser(r)
	b.post("/set", nil)
	if got, want := b.get("/get").Body.String(), "ann"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
