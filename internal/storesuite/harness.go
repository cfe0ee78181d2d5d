package storesuite

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// Stored returns a record that lasts for an hour.
func Stored(data string, version any) ginsession.Record {
	return ginsession.Record{Data: []byte(data), Expires: time.Now().Add(time.Hour), Version: version}
}

// MustSave saves a record, or ends the test.
func MustSave(t testing.TB, store ginsession.Store, id string, r ginsession.Record) {
	t.Helper()
	if err := store.Save(context.Background(), id, r); err != nil {
		t.Fatalf("saving: %v", err)
	}
}

// MustLoad loads a record, or ends the test.
func MustLoad(t testing.TB, store ginsession.Store, id string) ginsession.Record {
	t.Helper()
	r, err := store.Load(context.Background(), id)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return r
}

// LoadErr returns the error of a load.
func LoadErr(store ginsession.Store) error {
	_, err := store.Load(context.Background(), "id")
	return err
}

// WantErr fails the test unless got is the error want.
func WantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

// WantMistake fails the test unless err is a [ginsession.ConfigError] of an option
// that says the way out.
func WantMistake(t testing.TB, err error, option, way string) {
	t.Helper()
	var mistake *ginsession.ConfigError
	if !errors.As(err, &mistake) || mistake.Option != option || !strings.Contains(mistake.Reason, way) {
		t.Errorf("got %v, want a ConfigError of %s that says %q", err, option, way)
	}
}

// App returns an app with a session in the store.
func App(store ginsession.Store) *gin.Engine {
	r := gin.New()
	r.Use(ginsession.Must(ginsession.New(secret, ginsession.WithStore(store))))
	r.GET("/set/:value", func(c *gin.Context) { ginsession.From(c).Set("nickname", c.Param("value")) })
	r.GET("/get", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "%s %v", s.GetString("nickname"), s.Rejected())
	})
	r.GET("/add", func(c *gin.Context) {
		ginsession.Update(ginsession.From(c), "n", func(n int) int { return n + 1 })
	})
	r.GET("/n", func(c *gin.Context) { c.String(http.StatusOK, "%d", ginsession.From(c).GetInt("n")) })
	r.GET("/logout", func(c *gin.Context) { ginsession.From(c).Destroy() })
	return r
}

// Get sends a request, with a cookie if it is not "", and returns the one that
// the browser has afterwards.
func Get(h http.Handler, path, cookie string) (status int, body, after string) {
	req := httptest.NewRequest(http.MethodGet, path, nil)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	for _, c := range w.Result().Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	return w.Code, w.Body.String(), cookie
}
