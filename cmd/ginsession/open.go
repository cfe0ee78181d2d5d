package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// session is what show prints.
type session struct {
	Kind      string         `json:"kind"`
	Name      string         `json:"name"`
	Size      int            `json:"size"` // of the value, in bytes
	Note      string         `json:"note,omitempty"`
	Created   *time.Time     `json:"created,omitempty"`
	Signed    *time.Time     `json:"signed,omitempty"` // Flask keeps no other time
	Expires   *time.Time     `json:"expires,omitempty"`
	Permanent *bool          `json:"permanent,omitempty"`
	Values    map[string]any `json:"values,omitempty"`
	Flashes   []flash        `json:"flashes,omitempty"`
}

type flash struct {
	Category string `json:"category"`
	Message  any    `json:"message"`
}

const (
	kindEncrypted = "encrypted cookie"
	kindFlask     = "Flask cookie"
	kindID        = "id of a session on a server"
)

// forever is a lifetime that never ends a session before the time in its cookie.
const forever = 250 * 365 * 24 * time.Hour

// isFlask reports whether a value is a Flask app's: payload, time and signature
// with dots between them. Ours have none.
func (set settings) isFlask(k cookie) bool {
	return set.flask || strings.Count(k.value, ".") >= 2
}

// open tries all kinds that a cookie can be of.
func (set settings) open(k cookie) (*session, error) {
	if set.isFlask(k) {
		return set.look(k, kindFlask, ginsession.WithFlaskCookie(), ginsession.WithLifetime(set.lifetime))
	}
	found, err := set.look(k, kindEncrypted, ginsession.WithLifetime(forever))
	if !errors.Is(err, ginsession.ErrInvalid) {
		return found, err
	}
	var store asked
	_, _ = set.look(k, kindID, ginsession.WithStore(&store)) // it is not in this store
	if !store {
		return nil, err
	}
	return &session{Kind: kindID, Name: k.name, Size: len(k.value), Note: "its values are in the store"}, nil
}

// look sends a request with the cookie through the middleware and describes
// the session that it finds.
func (set settings) look(k cookie, kind string, opts ...ginsession.Option) (found *session, err error) {
	var check reason
	opts = append(opts, ginsession.WithName(k.name), ginsession.WithLogger(slog.New(&check)))
	middleware, err := ginsession.New(set.secret, opts...)
	if err != nil {
		return nil, err
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(middleware)
	engine.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		if err = s.Rejected(); err == nil {
			found = describe(s, k, kind)
		}
	})
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Cookie", k.name+"="+k.value)
	engine.ServeHTTP(nowhere{}, req)
	if err != nil {
		err = &refusal{err, check.text}
	}
	return found, err
}

// refusal is the error of a cookie that failed a check.
type refusal struct {
	rejected error
	check    string
}

func (r *refusal) Error() string { return cmp.Or(r.check, r.rejected.Error()) }
func (r *refusal) Unwrap() error { return r.rejected }

// reason is a handler of the middleware's log that keeps why a cookie was
// refused.
type reason struct{ text string }

func (*reason) Enabled(context.Context, slog.Level) bool { return true }
func (r *reason) WithAttrs([]slog.Attr) slog.Handler     { return r }
func (r *reason) WithGroup(string) slog.Handler          { return r }

func (r *reason) Handle(_ context.Context, line slog.Record) error { //nolint:gocritic // slog passes it by value
	line.Attrs(func(a slog.Attr) bool {
		if a.Key == "why" {
			r.text = a.Value.String()
		}
		return true
	})
	return nil
}

func describe(s *ginsession.Session, k cookie, kind string) *session {
	began, ends, permanent := s.CreatedAt().UTC(), s.ExpiresAt().UTC(), s.Permanent()
	found := &session{
		Kind:      kind,
		Name:      k.name,
		Size:      len(k.value),
		Created:   &began,
		Expires:   &ends,
		Permanent: &permanent,
		Values:    map[string]any{},
	}
	if kind == kindFlask {
		found.Created, found.Signed = nil, &began
	}
	for _, key := range s.Keys() {
		found.Values[key] = printable(s.Get(key))
	}
	for _, f := range s.Flashes() {
		found.Flashes = append(found.Flashes, flash{f.Category, printable(f.Message)})
	}
	return found
}

// printable replaces the numbers that JSON lacks.
func printable(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case []any:
		for i := range v {
			v[i] = printable(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = printable(v[key])
		}
	}
	return v
}

// asked is a store that holds nothing and records that it was asked, which
// happens only for an id that opens with the secret.
type asked bool

func (a *asked) Load(context.Context, string) (ginsession.Record, error) {
	*a = true
	return ginsession.Record{}, ginsession.ErrNotFound
}

func (a *asked) Save(context.Context, string, ginsession.Record) error { return ginsession.ErrNotFound }

func (a *asked) Delete(context.Context, string) error { return nil }

// nowhere discards a response.
type nowhere http.Header

func (n nowhere) Header() http.Header       { return http.Header(n) }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}
