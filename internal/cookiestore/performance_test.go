//go:build !race

package cookiestore_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// noWriter takes a response and allocates nothing.
type noWriter struct{ header http.Header }

func (w noWriter) Header() http.Header         { return w.header }
func (w noWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w noWriter) WriteHeader(int)             {}

// flaskShapes are what a request does to the session that all measurements are
// made with, and how often it allocates for that.
var flaskShapes = []struct {
	name        string
	do          func(*ginsession.Session)
	allocations float64
}{
	{"untouched", func(*ginsession.Session) {}, 7},
	{"read", func(s *ginsession.Session) { _, _ = s.GetInt64("user_id"), s.GetString("name") }, 7},
	{"write", func(s *ginsession.Session) { s.Set("count", s.GetInt("count")+1) }, 8},
	{"add a flash", func(s *ginsession.Session) { s.AddFlash("Saved", "success") }, 10},
	{"take the flash", func(s *ginsession.Session) { s.Flashes() }, 10},
}

// flaskRequest returns a function that runs one request.
func flaskRequest(t testing.TB, do func(*ginsession.Session)) (run func()) {
	t.Helper()
	app := apptest.New(t, ginsession.WithFlaskCookie())
	app.GET("/fill", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("user_id", int64(12345678))
		s.Set("name", "Ada Lovelace")
		s.Set("roles", []string{"admin", "editor", "author"})
		s.Set("token", []byte("0123456789abcdef0123456789abcdef"))
		s.Set("count", 7)
		s.AddFlash("Welcome back, Ada", "success")
	})
	body := []byte("body")
	app.GET("/request", func(c *gin.Context) {
		do(ginsession.From(c))
		_, _ = c.Writer.Write(body)
	})
	r := httptest.NewRequest(http.MethodGet, "/request", nil)
	r.Header.Set("Cookie", apptest.NewBrowser(app).Get("/fill").Header().Get("Set-Cookie"))
	w := noWriter{http.Header{}}
	return func() {
		clear(w.header)
		app.ServeHTTP(w, r)
	}
}

// TestFlask_allocations is exact, but not under the race detector, which drops
// pooled memory at random.
func TestFlask_allocations(t *testing.T) {
	for _, row := range flaskShapes {
		if got := testing.AllocsPerRun(1000, flaskRequest(t, row.do)); got != row.allocations {
			t.Errorf("%s: got %v allocations, want %v", row.name, got, row.allocations)
		}
	}
}

func BenchmarkFlask(b *testing.B) {
	for _, row := range flaskShapes {
		b.Run(row.name, func(b *testing.B) {
			run := flaskRequest(b, row.do)
			for b.Loop() {
				run()
			}
		})
	}
}
