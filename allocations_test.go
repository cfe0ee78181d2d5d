//go:build !race

package ginsession_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// discard is a response that keeps its header and nothing else, and allocates
// nothing.
type discard struct{ header http.Header }

func (w *discard) Header() http.Header               { return w.header }
func (w *discard) Write(p []byte) (int, error)       { return len(p), nil }
func (w *discard) WriteString(s string) (int, error) { return len(s), nil }
func (w *discard) WriteHeader(int)                   {}

// TestAllocations_body counts the allocations of requests with an encrypted
// cookie whose handlers write a page. The numbers are exact, but not under the
// race detector, which drops pooled memory at random.
func TestAllocations_body(t *testing.T) {
	fill := func(s *ginsession.Session) {
		s.Set("user_id", int64(12345678))
		s.Set("name", "Ada Lovelace")
		s.Set("roles", []string{"admin", "editor", "author"})
		s.Set("token", []byte("0123456789abcdef0123456789abcdef"))
		s.Set("count", 41)
	}
	flash := func(s *ginsession.Session) { s.AddFlash("Your settings have been saved", "success") }
	rows := []struct {
		name   string
		before func(*ginsession.Session) // makes the cookie that the request sends, or nil
		do     func(*ginsession.Session)
		want   float64
	}{
		{"untouched", fill, func(*ginsession.Session) {}, 3},
		{"read", fill, func(s *ginsession.Session) { _, _ = s.GetInt64("user_id"), s.GetString("name") }, 5},
		{"write", fill, func(s *ginsession.Session) { s.Set("count", s.GetInt("count")+1) }, 7},
		{"log-in", nil, func(s *ginsession.Session) {
			s.Renew()
			s.Set("user_id", int64(12345678))
			s.Set("name", "Ada Lovelace")
			flash(s)
		}, 10},
		{"add a flash", fill, flash, 8}, // with the next row, 17 for the pair
		{"take the flash", func(s *ginsession.Session) { fill(s); flash(s) }, func(s *ginsession.Session) { _ = s.Flashes() }, 9},
	}
	for _, row := range rows {
		if got := bodyAllocations(t, row.before, row.do); got != row.want {
			t.Errorf("%s: got %v allocations, want %v", row.name, got, row.want)
		}
	}
}

func bodyAllocations(t *testing.T, before, do func(*ginsession.Session)) float64 {
	t.Helper()
	h, err := ginsession.New(strings.Repeat("0123456789", 4))
	if err != nil {
		t.Fatal(err)
	}
	r := gin.New()
	r.Use(h)
	r.GET("/before", func(c *gin.Context) { before(ginsession.From(c)) })
	r.GET("/", func(c *gin.Context) {
		do(ginsession.From(c))
		_, _ = c.Writer.WriteString("<!doctype html><title>Settings</title><p>A page of the app.")
	})
	request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	if before != nil {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/before", nil))
		request.Header.Set("Cookie", w.Header().Get("Set-Cookie"))
	}
	w := &discard{http.Header{}}
	return testing.AllocsPerRun(1000, func() {
		clear(w.header)
		r.ServeHTTP(w, request)
	})
}
