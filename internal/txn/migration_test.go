package txn_test

import (
	"encoding/base64"
	"errors"
	"html/template"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// The secrets of the Flask app that is gone.
const flaskSecret, olderFlaskSecret = "Flask's old secret", "the one before it, for years"

// migrant is a visitor who comes with a cookie of that app.
type migrant struct {
	*apptest.Visitor
	name string // of our cookie
}

// eachMigration runs a test for each place where a session can move to: the
// encrypted cookie, a store, and both under the name of Flask's cookie.
func eachMigration(t *testing.T, fn func(t *testing.T, name string, come func(json string) migrant)) {
	for _, name := range []string{"__Host-session", "session"} {
		for _, stored := range []bool{false, true} {
			opts := []ginsession.Option{ginsession.WithFlaskMigration(flaskSecret, olderFlaskSecret)}
			if name == "session" {
				opts = append(opts, ginsession.WithInsecureCookie())
			}
			where := name + ", cookie"
			if stored {
				where, opts = name+", store", append(opts, ginsession.WithStore(apptest.NewStore()))
			}
			t.Run(where, func(t *testing.T) {
				fn(t, name, func(json string) migrant { return newMigrant(t, name, json, opts...) })
			})
		}
	}
}

// newMigrant returns a visitor with the session in a JSON text, or without one.
func newMigrant(t *testing.T, name, json string, opts ...ginsession.Option) migrant {
	m := migrant{apptest.NewVisitor(t, opts...), name}
	if json != "" {
		m.bring(apptest.SignFlask(flaskSecret, json, time.Now()))
	}
	return m
}

// bring puts a cookie into the browser.
func (m migrant) bring(value string) {
	w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
	w.Header().Set("Set-Cookie", "session="+value+"; Path=/")
	m.Take(req, &apptest.Response{ResponseRecorder: w})
}

// names returns those of the cookies that the browser keeps.
func (m migrant) names() (names []string) {
	for _, k := range m.Cookies() {
		names = append(names, k.Name)
	}
	return names
}

func (m migrant) wantLines(t *testing.T, do string, want ...string) {
	t.Helper()
	if got := m.Get("/?do=" + do).Lines(); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", do, got, want)
	}
}

func TestTxn_migration_once(t *testing.T) {
	const expired = "session=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
	eachMigration(t, func(t *testing.T, name string, come func(string) migrant) {
		m := come(`{"_flashes":[{" t":["error",{" m":"<b>"}]},{" t":[5,"x"]}],"_permanent":true,"n":NaN,` +
			`"t":{" t":[1,{" u":"12345678123456781234567812345678"}]},"user":"Zo\u00eb","\ud800":1}`)
		old := m.Cookies()[0].Value
		if w := m.Visit(func(*ginsession.Session) {}); len(w.Header()) != 0 {
			t.Errorf("untouched: got %v", w.Header())
		}
		w := m.Visit(func(s *ginsession.Session) {
			if s.GetString("user") != "Zoë" || s.IsNew() || s.Rejected() != nil || !s.Permanent() || s.Modified() {
				t.Errorf("got %v, new %t, rejected %v, permanent %t, modified %t", s.Keys(), s.IsNew(), s.Rejected(), s.Permanent(), s.Modified())
			}
		})
		lines := w.Header()["Set-Cookie"]
		if both := name != "session"; len(lines) == 2 != both || both && !slices.Contains(lines, expired) {
			t.Errorf("got %q", lines)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Vary") != "Cookie" {
			t.Errorf("got %v", w.Header())
		}
		if kept := m.Cookies(); len(kept) != 1 || kept[0].Name != name || kept[0].Value == old {
			t.Fatalf("the browser keeps %v", kept)
		}
		w = m.Visit(func(s *ginsession.Session) {
			if got := s.Get("t"); !reflect.DeepEqual(got, []any{int64(1), "12345678-1234-5678-1234-567812345678"}) {
				t.Errorf("got %v", got)
			}
			if n, ok := s.Get("n").(float64); !ok || !math.IsNaN(n) || !s.Has("\xed\xa0\x80") || !s.Permanent() {
				t.Errorf("got %v", s.Keys())
			}
		})
		if got := w.Header()["Set-Cookie"]; got != nil {
			t.Errorf("the next visit: got %q", got)
		}
		for _, want := range [][]ginsession.Flash{{{Message: template.HTML("<b>"), Category: "error"}, {Message: "x", Category: "5"}}, nil} {
			m.Visit(func(s *ginsession.Session) {
				if got := s.Flashes(); !reflect.DeepEqual(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		}
	})
}

func TestTxn_migration_changes(t *testing.T) {
	eachMigration(t, func(t *testing.T, name string, come func(string) migrant) {
		for _, row := range []struct {
			do   string
			want []string
		}{
			{"set:b=2", []string{"a=1", "b=2"}},
			{"renew", []string{"a=1"}},
			{"keys,save", []string{"a=1"}},
			{"keys,save,set:a=2,save", []string{"a=2"}},
			{"clear,set:b=2", []string{"b=2"}},
			{"destroy,set:b=2", []string{"b=2"}},
			{"delete:a", nil}, {"clear", nil}, {"destroy", nil}, {"keys,save,clear", nil},
		} {
			m := come(`{"a":1}`)
			if w := m.Get("/?do=" + row.do); w.Code != http.StatusOK || w.Errors != nil {
				t.Errorf("%s: got %d and %v", row.do, w.Code, w.Errors)
			}
			if got := m.names(); len(got) > 1 || len(got) == 1 != (row.want != nil) || len(got) == 1 && got[0] != name {
				t.Errorf("%s: the browser keeps %v", row.do, got)
			}
			m.wantLines(t, "keys", row.want...)
		}
	})
}

// TestTxn_migration_ownCookie: our own cookie wins, and a log-out does not fall
// back to what Flask's says. A cookie called "session" that is no Flask cookie is
// another app's.
func TestTxn_migration_ownCookie(t *testing.T) {
	eachMigration(t, func(t *testing.T, name string, come func(string) migrant) {
		if name == "session" {
			t.Skip("a browser has one cookie of a name")
		}
		for value, kept := range map[string][]string{apptest.SignFlask(flaskSecret, `{"a":"Flask's"}`, time.Now()): nil, "of another app": {"session"}} {
			m := come("")
			m.Set("a", "own")
			m.bring(value)
			w := m.Get("/?do=get:a")
			if got := w.Lines(); !slices.Equal(got, []string{"own"}) || w.Header()["Set-Cookie"] != nil {
				t.Errorf("got %q and %q", got, w.Header()["Set-Cookie"])
			}
			if m.Get("/?do=destroy"); !slices.Equal(m.names(), kept) {
				t.Errorf("after Destroy the browser keeps %v, want %v", m.names(), kept)
			}
			m.wantLines(t, "keys")
		}
	})
}

func TestTxn_migration_refuses(t *testing.T) {
	now := time.Now()
	good := apptest.SignFlask(flaskSecret, `{"a":1}`, now)
	noise := make([]byte, 5000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	eachMigration(t, func(t *testing.T, name string, come func(string) migrant) {
		for what, cookie := range map[string]string{
			"forged":         apptest.SignFlask("another secret of Flask", `{"a":1}`, now),
			"our own secret": apptest.SignFlask(apptest.Secret, `{"a":1}`, now),
			"damaged":        good[:len(good)-2] + "xx",
			"too old":        apptest.SignFlask(flaskSecret, `{"a":1}`, now.Add(-32*24*time.Hour)),
			"ahead":          apptest.SignFlask(flaskSecret, `{"a":1}`, now.Add(time.Hour)),
			"no session":     apptest.SignFlask(flaskSecret, `[1]`, now),
			"empty":          apptest.SignFlask(olderFlaskSecret, `{"_permanent":true}`, now),
			"too long":       apptest.SignFlask(flaskSecret, `{"a":"`+base64.StdEncoding.EncodeToString(noise)+`"}`, now),
			"nonsense":       "nonsense",
		} {
			m := come("")
			m.bring(cookie)
			w := m.Visit(func(s *ginsession.Session) {
				if s.Len() != 0 || !s.IsNew() || s.Err() != nil {
					t.Errorf("%s: got %v, new %t, %v", what, s.Keys(), s.IsNew(), s.Err())
				}
				if name == "session" && what != "empty" && !errors.Is(s.Rejected(), ginsession.ErrInvalid) {
					t.Errorf("%s: rejected is %v", what, s.Rejected())
				}
			})
			if gone := len(m.Cookies()) == 0; gone != (what == "empty") || !gone && w.Header()["Set-Cookie"] != nil {
				t.Errorf("%s: got %q", what, w.Header()["Set-Cookie"])
			}
			m.Set("b", 2)
			m.wantLines(t, "keys", "b=2")
		}
		m := come("")
		m.bring(apptest.SignFlask(olderFlaskSecret, `{"a":1}`, now))
		m.wantLines(t, "keys", "a=1")
	})
}

// TestTxn_migration_late: what is first used after the headers have left stays in
// Flask's cookie.
func TestTxn_migration_late(t *testing.T) {
	eachMigration(t, func(t *testing.T, name string, come func(string) migrant) {
		m := come(`{"a":1}`)
		value := m.Cookies()[0].Value
		for _, row := range []struct {
			do   string
			want error
		}{{"write:x,flush,keys", nil}, {"write:x,flush,keys,set:b=2", ginsession.ErrLate}} {
			w := m.Get("/?do=" + row.do)
			if got := errors.Join(w.Errors...); w.Code != http.StatusOK || !errors.Is(got, row.want) || len(w.Result().Cookies()) != 0 {
				t.Errorf("%s: got %d, %v, %v", row.do, w.Code, got, w.Header())
			}
		}
		if kept := m.Cookies(); len(kept) != 1 || kept[0].Value != value {
			t.Errorf("Flask's cookie is gone: %v", kept)
		}
		if m.Get("/?do=keys,write:x,flush"); !slices.Equal(m.names(), []string{name}) || m.Cookies()[0].Value == value {
			t.Errorf("used in time: the browser keeps %v", m.Cookies())
		}
	})
}

// TestTxn_migration_tooLarge: Flask compresses, and the encrypted cookie does not.
func TestTxn_migration_tooLarge(t *testing.T) {
	m := newMigrant(t, "__Host-session", `{"text":"`+strings.Repeat("x", 5000)+`"}`, ginsession.WithFlaskMigration(flaskSecret))
	for _, row := range []struct {
		do   string
		code int
		kept string
	}{{"keys", http.StatusOK, "session"}, {"set:b=1", http.StatusInternalServerError, "session"}, {"set:b=1,delete:text", http.StatusOK, "__Host-session"}} {
		if w := m.Get("/?do=" + row.do); w.Code != row.code || !slices.Equal(m.names(), []string{row.kept}) {
			t.Errorf("%s: got %d, and the browser keeps %v, want %d and %s", row.do, w.Code, m.names(), row.code, row.kept)
		}
	}
	m.wantLines(t, "keys", "b=1")
}

func TestTxn_migration_storeIsDown(t *testing.T) {
	store := apptest.NewStore()
	m := newMigrant(t, "__Host-session", `{"a":1}`, ginsession.WithFlaskMigration(flaskSecret), ginsession.WithStore(store))
	down := func(apptest.Call) apptest.Fault { return apptest.Fault{Before: apptest.ErrStore} }
	store.Hook(down)
	for _, do := range []string{"keys", "set:a=2"} {
		if w := m.Get("/?do=" + do); w.Code != http.StatusServiceUnavailable || len(w.Result().Cookies()) != 0 {
			t.Errorf("%s: got %d, %v", do, w.Code, w.Header())
		}
	}
	store.Hook(nil)
	m.wantLines(t, "keys", "a=1")

	m.bring(apptest.SignFlask(flaskSecret, `{"a":2}`, time.Now()))
	store.Hook(down)
	if w := m.Get("/?do=destroy"); w.Code != http.StatusServiceUnavailable || len(m.Cookies()) != 0 {
		t.Errorf("log-out: got %d, and the browser keeps %v", w.Code, m.names())
	}
}

// TestTxn_migration_ended: a session that another request has ended does not
// begin again from Flask's cookie.
func TestTxn_migration_ended(t *testing.T) {
	m := newMigrant(t, "__Host-session", `{"a":1}`, ginsession.WithFlaskMigration(flaskSecret), ginsession.WithStore(apptest.NewStore()))
	m.Get("/?do=keys")
	slow := m.Clone()
	m.Get("/?do=destroy")
	m.Visitor = slow
	m.bring(apptest.SignFlask(flaskSecret, `{"a":1}`, time.Now()))
	m.Visit(func(s *ginsession.Session) {
		if !errors.Is(s.Rejected(), ginsession.ErrUnknown) || s.Len() != 0 {
			t.Errorf("got %v, %v, want ErrUnknown and nothing", s.Rejected(), s.Keys())
		}
	})
}

// TestTxn_migration_pathAndDomain: those of Flask's cookie are those of the
// options.
func TestTxn_migration_pathAndDomain(t *testing.T) {
	a := apptest.New(t, ginsession.WithFlaskMigration(flaskSecret), ginsession.WithDomain("example.com"),
		ginsession.WithPath("/app"), ginsession.WithName("__Secure-app"))
	a.GET("/app", func(c *gin.Context) { ginsession.From(c).Len() })
	req := httptest.NewRequest(http.MethodGet, "/app", nil)
	req.AddCookie(&http.Cookie{Name: "session", Value: apptest.SignFlask(flaskSecret, `{"a":1}`, time.Now())})
	const want = "session=; Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
	if lines := apptest.NewBrowser(a).Do(req).Header()["Set-Cookie"]; len(lines) != 2 || !slices.Contains(lines, want) {
		t.Errorf("got %q", lines)
	}
}
