//go:build !race

package ginsession_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memstore"
)

// noWriter takes a response and allocates nothing.
type noWriter struct{ header http.Header }

func (w noWriter) Header() http.Header         { return w.header }
func (w noWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w noWriter) WriteHeader(int)             {}

// setStandard puts the session in that all measurements are made with.
func setStandard(s *ginsession.Session) {
	s.Set("user_id", int64(12345678))
	s.Set("name", "Ada Lovelace")
	s.Set("roles", []string{"admin", "editor", "author"})
	s.Set("token", []byte("0123456789abcdef0123456789abcdef"))
	s.Set("count", 7)
	s.AddFlash("Welcome back, Ada", "success")
}

// shapes are what a request does to a standard session, and how much it may
// allocate for that.
var shapes = []struct {
	name   string
	do     func(*gin.Context)
	fresh  bool // no cookie comes
	allocs float64
}{
	{"nothing", func(*gin.Context) {}, false, 3},
	{"read", func(c *gin.Context) {
		s := ginsession.From(c)
		_, _ = s.GetInt64("user_id"), s.GetString("name")
	}, false, 5},
	{"write", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("count", s.GetInt("count")+1)
	}, false, 7},
	{"log in", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Renew()
		s.Set("user_id", int64(12345678))
		s.Set("name", "Ada Lovelace")
		s.AddFlash("Welcome back, Ada", "success")
	}, true, 10},
	{"add a flash", func(c *gin.Context) { ginsession.From(c).AddFlash("Saved", "success") }, false, 9},
	{"take the flash", func(c *gin.Context) { ginsession.From(c).Flashes() }, false, 9},
	{"set all", func(c *gin.Context) { setStandard(ginsession.From(c)) }, true, 20},
}

// TestAllocations counts what a request costs that has its session in an
// encrypted cookie. Times are for make bench; these numbers are exact, but not
// under the race detector, which drops pooled memory at random.
func TestAllocations(t *testing.T) {
	r := newEngine(t)
	r.GET("/fill", func(c *gin.Context) { setStandard(ginsession.From(c)) })
	cookie := do(t, r, http.MethodGet, "/fill").Header().Get("Set-Cookie")
	for _, shape := range shapes {
		path := "/" + strings.ReplaceAll(shape.name, " ", "-")
		r.GET(path, shape.do)
		request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
		if !shape.fresh {
			request.Header.Set("Cookie", cookie)
		}
		w := noWriter{http.Header{}}
		got := testing.AllocsPerRun(1000, func() {
			clear(w.header)
			r.ServeHTTP(w, request)
		})
		if got != shape.allocs {
			t.Errorf("%s: got %v allocations, want %v", shape.name, got, shape.allocs)
		}
	}
}

// TestSizes weighs the standard session: the value of its cookie, and its
// record in a store.
func TestSizes(t *testing.T) {
	fill := func(opts ...ginsession.Option) *http.Cookie {
		r := newEngine(t, opts...)
		r.GET("/fill", func(c *gin.Context) { setStandard(ginsession.From(c)) })
		return do(t, r, http.MethodGet, "/fill").Result().Cookies()[0]
	}
	store := memstore.New()
	fill(ginsession.WithStore(store))
	got := map[string]int{"cookie": len(fill().Value)}
	for _, size := range store.Sizes() {
		got["record"] = size
	}
	want := map[string]int{"cookie": 307, "record": 230}
	if !maps.Equal(got, want) {
		t.Errorf("got %v bytes, want %v", got, want)
	}
}
