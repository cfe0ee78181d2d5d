package apptest

import (
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// Visitor is a browser whose requests run functions on its session.
type Visitor struct {
	*Browser
	fn *func(*ginsession.Session)
}

// NewVisitor returns a visitor without cookies to an app with one middleware
// under [Secret].
func NewVisitor(t testing.TB, opts ...ginsession.Option) *Visitor {
	t.Helper()
	v := &Visitor{NewBrowser(nil), new(func(*ginsession.Session))}
	v.Mount(t, opts...)
	return v
}

// Mount puts the visitor in front of an app with other options.
func (v *Visitor) Mount(t testing.TB, opts ...ginsession.Option) {
	t.Helper()
	a := New(t, opts...)
	fn := v.fn
	a.GET("/visit", func(c *gin.Context) { (*fn)(ginsession.From(c)) })
	v.Handler = a
}

// Clone returns another visitor to the app, with a copy of the cookies.
func (v *Visitor) Clone() *Visitor { return &Visitor{v.Browser.Clone(), v.fn} }

// Visit sends a request that runs fn. Visits may be nested.
func (v *Visitor) Visit(fn func(*ginsession.Session)) *Response {
	*v.fn = fn
	return v.Get("/visit")
}

// Set visits once and sets keys and values.
func (v *Visitor) Set(pairs ...any) *Response {
	return v.Visit(func(s *ginsession.Session) {
		for pair := range slices.Chunk(pairs, 2) {
			s.Set(pair[0].(string), pair[1])
		}
	})
}

// Values visits once and returns what the session holds.
func (v *Visitor) Values() map[string]any {
	all := map[string]any{}
	v.Visit(func(s *ginsession.Session) {
		for _, key := range s.Keys() {
			all[key] = s.Get(key)
		}
	})
	return all
}
