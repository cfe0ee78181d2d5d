//go:build !race

package ginsession_test

import (
	"context"
	"fmt"
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

func addFlash(c *gin.Context)    { ginsession.From(c).AddFlash("Saved", "success") }
func takeFlashes(c *gin.Context) { ginsession.From(c).Flashes() }

// shapes are what requests do to a standard session, and how much they may
// allocate for that: with a cookie, and with a store in memory, which allocates
// too.
var shapes = []struct {
	name           string
	do             []gin.HandlerFunc // one request each
	fresh          bool              // no cookie comes
	cookie, stored float64
}{
	{"nothing", []gin.HandlerFunc{func(*gin.Context) {}}, false, 3, 3},
	{"read", []gin.HandlerFunc{func(c *gin.Context) {
		s := ginsession.From(c)
		_, _ = s.GetInt64("user_id"), s.GetString("name")
	}}, false, 5, 9},
	{"write", []gin.HandlerFunc{func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("count", (s.GetInt("count")+1)%8)
	}}, false, 8, 14},
	{"log in", []gin.HandlerFunc{func(c *gin.Context) {
		s := ginsession.From(c)
		s.Renew()
		s.Set("user_id", int64(12345678))
		s.Set("name", "Ada Lovelace")
		s.AddFlash("Welcome back, Ada", "success")
	}}, true, 10, 16},
	{"flash pair", []gin.HandlerFunc{addFlash, takeFlashes}, false, 18, 31},
	{"set all", []gin.HandlerFunc{func(c *gin.Context) { setStandard(ginsession.From(c)) }}, true, 20, 26},
}

// TestAllocations counts what a request costs. Times are for make bench; these
// numbers are exact, but not under the race detector, which drops pooled memory
// at random.
func TestAllocations(t *testing.T) {
	for _, shape := range shapes {
		if got := allocations(t, shape.do, shape.fresh); got != shape.cookie {
			t.Errorf("%s, encrypted cookie: got %v allocations, want %v", shape.name, got, shape.cookie)
		}
		if got := allocations(t, shape.do, shape.fresh, ginsession.WithStore(memstore.New())); got != shape.stored {
			t.Errorf("%s, store: got %v allocations, want %v", shape.name, got, shape.stored)
		}
	}
}

func allocations(t *testing.T, handlers []gin.HandlerFunc, fresh bool, opts ...ginsession.Option) float64 {
	t.Helper()
	r := newEngine(t, opts...)
	r.GET("/fill", func(c *gin.Context) { setStandard(ginsession.From(c)) })
	var requests []*http.Request
	cookie := []string{""}
	if !fresh {
		cookie[0] = do(t, r, http.MethodGet, "/fill").Header().Get("Set-Cookie")
	}
	for i, handler := range handlers {
		r.GET(fmt.Sprint("/", i), handler)
		request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, fmt.Sprint("/", i), nil)
		request.Header["Cookie"] = cookie
		requests = append(requests, request)
	}
	w := noWriter{http.Header{}}
	return testing.AllocsPerRun(1000, func() {
		for _, request := range requests {
			clear(w.header)
			r.ServeHTTP(w, request)
			if lines := w.header["Set-Cookie"]; !fresh && len(lines) > 0 { // as a browser does
				cookie[0], _, _ = strings.Cut(lines[0], ";")
			}
		}
	})
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
