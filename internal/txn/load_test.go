package txn_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

// TestTxn_Load loads what cookies say of themselves, with a validator that
// refuses "revoked" and has no answer for "unsure". Of the reasons why none was
// accepted, that counts which says most. The last cookie is the newest.
func TestTxn_Load(t *testing.T) {
	invalid, unknown, expired, revoked, unavailable := sessionerr.ErrInvalid, sessionerr.ErrUnknown, sessionerr.ErrExpired, sessionerr.ErrRevoked, sessionerr.ErrUnavailable
	tests := []struct {
		cookies  string
		user     string
		origin   txn.Origin
		rejected error
		broken   error
	}{
		{"", "", txn.Fresh, nil, nil},
		{"sid=ann", "ann", txn.Loaded, nil, nil},
		{"sid=junk", "", txn.Fresh, invalid, nil},
		{"sid=junk; sid=ann", "ann", txn.Loaded, nil, nil},
		{"sid=ann; sid=junk", "ann", txn.Loaded, nil, nil},
		{"sid=tombstone", "", txn.Fresh, unknown, nil},
		{"sid=expired", "", txn.Fresh, expired, nil},
		{"sid=junk; sid=expired", "", txn.Fresh, expired, nil},
		{"sid=expired; sid=junk", "", txn.Fresh, expired, nil},
		{"sid=expired; sid=ann", "ann", txn.Loaded, nil, nil},
		{"sid=revoked", "", txn.Fresh, revoked, nil},
		{"sid=junk; sid=revoked", "", txn.Fresh, revoked, nil},
		{"sid=revoked; sid=junk", "", txn.Fresh, revoked, nil},
		{"sid=ann; sid=revoked", "ann", txn.Loaded, nil, nil},
		{"sid=broken", "", txn.Fresh, nil, unavailable},
		{"sid=junk; sid=broken", "", txn.Fresh, invalid, unavailable},
		{"sid=unsure", "", txn.Fresh, nil, unavailable},
		{"sid=revoked; sid=unsure", "", txn.Fresh, nil, unavailable},
		{"old=ann", "ann", txn.Imported, nil, nil},
		{"sid=junk; old=ann", "ann", txn.Imported, nil, nil},
		{"sid=ann; old=eve", "ann", txn.Loaded, nil, nil},
		{"sid=tombstone; old=ann", "", txn.Fresh, unknown, nil},
		{"sid=broken; old=ann", "", txn.Fresh, nil, unavailable},
		{"old=junk", "", txn.Fresh, nil, nil},
		{"old=expired", "", txn.Fresh, nil, nil},
		{"old=revoked", "", txn.Fresh, revoked, nil},
		{"old=ann; old=unsure", "", txn.Fresh, nil, unavailable},
		{"own=ann", "ann", txn.Imported, nil, nil},
		{"sid=junk; own=ann; old=eve", "ann", txn.Imported, nil, nil},
		{"sid=ann; own=eve", "ann", txn.Loaded, nil, nil},
		{"sid=tombstone; own=ann", "", txn.Fresh, unknown, nil},
		{"sid=broken; own=ann", "", txn.Fresh, nil, unavailable},
		{"own=junk", "", txn.Fresh, invalid, nil},
		{"own=expired", "", txn.Fresh, expired, nil},
		{"sid=junk; own=expired", "", txn.Fresh, expired, nil},
		{"own=revoked", "", txn.Fresh, revoked, nil},
		{"own=expired; old=ann", "ann", txn.Imported, nil, nil},
		{"own=unsure; old=ann", "", txn.Fresh, nil, unavailable},
	}
	for _, test := range tests {
		c := newConfig(&storage{})
		c.Validate = func(_ context.Context, view *txn.Txn) (bool, error) {
			switch user, _ := view.Content().Find("user"); user {
			case "revoked":
				return false, nil
			case "unsure":
				return false, sessionerr.ErrRevoked // which says nothing of the session, as an error
			}
			return true, nil
		}
		x := load(c, test.cookies)
		user, _ := x.Content().Find("user")
		if user != test.user || x.Origin() != test.origin {
			t.Errorf("%s: got %q of origin %d, want %q of %d", test.cookies, user, x.Origin(), test.user, test.origin)
		}
		if !errors.Is(x.Rejected(), test.rejected) || !errors.Is(x.Broken(), test.broken) || !errors.Is(x.Err(), test.broken) {
			t.Errorf("%s: got Rejected %v, Broken %v and Err %v, want %v and %v", test.cookies, x.Rejected(), x.Broken(), x.Err(), test.rejected, test.broken)
		}
	}
}

const cookieName = "sid"

// kind is where a session can live. forge returns a cookie that looks good and
// is not.
type kind struct {
	name  string
	opts  func(*apptest.Store) []ginsession.Option
	forge func(good string, i int) string
}

var kinds = []kind{
	{"cookie", func(*apptest.Store) []ginsession.Option { return nil }, forgeSealed},
	{"flask", func(*apptest.Store) []ginsession.Option { return []ginsession.Option{ginsession.WithFlaskCookie()} }, forgeFlask},
	{"store", func(s *apptest.Store) []ginsession.Option { return []ginsession.Option{ginsession.WithStore(s)} }, forgeSealed},
}

func forgeSealed(good string, i int) string {
	return fmt.Sprintf("%04d", i) + good[4:]
}

// forgeFlask keeps payload and time, and no signature is like another.
func forgeFlask(good string, i int) string {
	cut := strings.LastIndexByte(good, '.') + 1
	return good[:cut] + fmt.Sprintf("%04d", i) + good[cut+4:]
}

func newApp(t *testing.T, opts ...ginsession.Option) *apptest.App {
	t.Helper()
	return apptest.New(t, append(opts, ginsession.WithName(cookieName))...)
}

// logIn returns a browser with a session, and its cookie's value.
func logIn(t *testing.T, h http.Handler, user string) (b *apptest.Browser, value string) {
	t.Helper()
	b = apptest.NewBrowser(h)
	if w := b.Get("/?do=set:user=" + user); w.Code != http.StatusOK || len(b.Cookies()) != 1 {
		t.Fatalf("log-in: got %d and the cookies %v", w.Code, b.Cookies())
	}
	return b, b.Cookies()[0].Value
}

// send requests a page with these cookies, in this order.
func send(h http.Handler, path string, values ...string) *apptest.Response {
	req := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	req.Header.Set("Cookie", cookieName+"="+strings.Join(values, "; "+cookieName+"="))
	return apptest.NewBrowser(h).Do(req)
}

// TestTxn_Load_junkInFront puts junk before a good cookie, which still counts.
func TestTxn_Load_junkInFront(t *testing.T) {
	shapes := []string{"", ".", "..", "junk", "a.b.c", "%20", "=", "!", "AAAA", strings.Repeat("A", 400)}
	for _, kind := range kinds {
		a := newApp(t, kind.opts(apptest.NewStore())...)
		_, good := logIn(t, a, "ann")
		var malformed, forged []string
		for i := range 300 { // over 256, which may be authenticated
			malformed = append(malformed, fmt.Sprint(shapes[i%len(shapes)], i))
		}
		for i := range 20 {
			forged = append(forged, kind.forge(good, i))
		}
		for _, row := range []struct {
			name  string
			front []string
		}{
			{"none", nil}, {"malformed", malformed}, {"forged", forged},
			{"both", slices.Concat(malformed, forged)}, {"both, the other way round", slices.Concat(forged, malformed)},
		} {
			if got := send(a, "/?do=get:user", append(slices.Clone(row.front), good)...).Lines(); !slices.Equal(got, []string{"ann"}) {
				t.Errorf("%s, %s: got %q, want ann", kind.name, row.name, got)
			}
		}
	}
}

// TestTxn_Load_lookups sends genuine ids, all but the last of dead sessions: 8
// of them are looked up, and no more.
func TestTxn_Load_lookups(t *testing.T) {
	for _, dead := range []int{0, 3, 7, 8, 30} {
		store := apptest.NewStore()
		a := newApp(t, ginsession.WithStore(store))
		var ids []string
		for range dead {
			_, value := logIn(t, a, "gone")
			ids = append(ids, value)
		}
		store.Evict()
		_, good := logIn(t, a, "ann")
		before := store.Calls("load")
		got := send(a, "/?do=get:user", append(ids, good)...).Lines()
		if loads := store.Calls("load") - before; loads > 8 {
			t.Errorf("%d dead: got %d loads, want 8 at most", dead, loads)
		}
		if dead < 8 && !slices.Equal(got, []string{"ann"}) {
			t.Errorf("%d dead: got %q, want ann", dead, got)
		}
	}
}

// variants are what an app added under a name that it kept.
var variants = []struct {
	name string
	opts []ginsession.Option
}{
	{"domain", []ginsession.Option{ginsession.WithDomain("example.com")}},
	{"path", []ginsession.Option{ginsession.WithPath("/app")}},
	{"domain and path", []ginsession.Option{ginsession.WithDomain("example.com"), ginsession.WithPath("/app")}},
}

// moved is an app before and after its cookie got a domain or a path.
type moved struct{ before, after *apptest.App }

func eachMoved(t *testing.T, run func(t *testing.T, kind kind, m moved)) {
	for _, kind := range kinds {
		for _, variant := range variants {
			t.Run(kind.name+" "+variant.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := kind.opts(apptest.NewStore())
					run(t, kind, moved{newApp(t, opts...), newApp(t, append(slices.Clone(opts), variant.opts...)...)})
				})
			})
		}
	}
}

// both returns a browser with the cookie of an old session at the app before,
// and that of a younger one at the app after; reversed, the former is younger.
func (m moved) both(t *testing.T, reversed bool) *apptest.Browser {
	t.Helper()
	logIn := func(a *apptest.App, user string) *apptest.Browser {
		b := apptest.NewBrowser(a)
		b.Get("/app/?do=set:user=" + user)
		time.Sleep(2 * time.Second) // Flask's form has whole seconds
		return b
	}
	apps := []*apptest.App{m.before, m.after}
	if reversed {
		slices.Reverse(apps)
	}
	first, second := logIn(apps[0], "old"), logIn(apps[1], "young")
	if reversed {
		first, second = second, first
	}
	first.Join(second)
	first.Handler = m.after
	req := httptest.NewRequest(http.MethodGet, "/app/", http.NoBody)
	if got := len(first.CookiesFor(req)); got != 2 {
		t.Fatalf("the browser sends %d cookies, want 2", got)
	}
	return first
}

// TestTxn_Load_newestWins: whichever comes first, the session that is
// younger counts.
func TestTxn_Load_newestWins(t *testing.T) {
	eachMoved(t, func(t *testing.T, _ kind, m moved) {
		for _, reversed := range []bool{false, true} {
			b := m.both(t, reversed)
			if got := b.Get("/app/?do=get:user").Lines(); !slices.Equal(got, []string{"young"}) {
				t.Errorf("the cookie from before is younger: %v: got %q, want young", reversed, got)
			}
		}
	})
}

// TestTxn_Headers_expireVariants: a write leaves one cookie, and further writes
// expire nothing.
func TestTxn_Headers_expireVariants(t *testing.T) {
	eachMoved(t, func(t *testing.T, _ kind, m moved) {
		for _, row := range []struct {
			words    string
			reversed bool
		}{{"set:a=1", false}, {"set:a=1", true}, {"set:a=1,renew", false}, {"set:a=1,renew", true}} {
			b := m.both(t, row.reversed)
			b.Get("/app/?do=" + row.words)
			if got := b.Cookies(); len(got) != 1 {
				t.Errorf("%+v: got %d cookies, want one", row, len(got))
			}
			if got, want := b.Get("/app/?do=keys").Lines(), []string{"a=1", "user=young"}; !slices.Equal(got, want) {
				t.Errorf("%+v: got the session %q, want %q", row, got, want)
			}
			if lines := b.Get("/app/?do=set:b=1,renew").SetCookies(cookieName); len(lines) != 1 {
				t.Errorf("%+v, a further write: got the cookies %q, want one", row, lines)
			}
		}
	})
}

// TestTxn_Destroy_endsAllThatCame: a log-out ends all sessions that came.
func TestTxn_Destroy_endsAllThatCame(t *testing.T) {
	eachMoved(t, func(t *testing.T, kind kind, m moved) {
		b := m.both(t, false)
		var values []string
		for _, k := range b.Cookies() {
			values = append(values, k.Value)
		}
		b.Get("/app/?do=destroy")
		if got := b.Cookies(); len(got) != 0 {
			t.Errorf("got the cookies %v, want none", got)
		}
		for _, value := range values {
			if got := send(m.after, "/app/?do=keys", value).Lines(); kind.name == "store" && len(got) != 0 {
				t.Errorf("a copy of a cookie: got %q, want nothing", got)
			}
		}
	})
}

// TestTxn_Renew_afterMove logs in and out with a cookie from before.
func TestTxn_Renew_afterMove(t *testing.T) {
	eachMoved(t, func(t *testing.T, _ kind, m moved) {
		b := apptest.NewBrowser(m.before)
		b.Get("/app/?do=set:cart=1")
		b.Handler = m.after
		time.Sleep(2 * time.Second)
		b.Get("/app/?do=renew,set:user=ann")
		if got := b.Get("/app/?do=get:user").Lines(); !slices.Equal(got, []string{"ann"}) {
			t.Errorf("after log-in: got %q, want ann", got)
		}
		b.Get("/app/?do=destroy")
		time.Sleep(5 * time.Minute)
		if got := b.Get("/app/?do=keys").Lines(); len(got) != 0 || len(b.Cookies()) != 0 {
			t.Errorf("after log-out: got the session %q and the cookies %v, want none", got, b.Cookies())
		}
	})
}

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

// mover is a visitor whose app moves from the encrypted cookie to a store.
type mover struct {
	*apptest.Visitor
	store *apptest.Store
}

// newMover returns one who comes with the cookie of a session that begin has
// filled, if it is not nil.
func newMover(t *testing.T, begin func(*ginsession.Session), opts ...ginsession.Option) mover {
	t.Helper()
	m := mover{apptest.NewVisitor(t, opts...), apptest.NewStore()}
	if begin != nil {
		m.Visit(begin)
	}
	m.move(t, opts...)
	return m
}

// move mounts the app on the store.
func (m mover) move(t *testing.T, opts ...ginsession.Option) {
	t.Helper()
	m.Mount(t, append(opts, ginsession.WithStore(m.store), ginsession.WithCookieMigration(apptest.Secret))...)
}

func (m mover) wantLines(t *testing.T, do string, want ...string) {
	t.Helper()
	if got := m.Get("/?do=" + do).Lines(); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", do, got, want)
	}
}

func setUser(s *ginsession.Session) { s.Set("user", "ann") }

// TestTxn_cookieMigration_once takes a session over as it is.
func TestTxn_cookieMigration_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var created time.Time
		m := newMover(t, func(s *ginsession.Session) {
			setUser(s)
			s.AddFlash("Welcome", "info")
			s.Remember(50 * 24 * time.Hour)
			created = s.CreatedAt()
		}, ginsession.WithIdleTimeout(time.Hour))
		old := m.Cookies()[0].Value
		time.Sleep(20 * 24 * time.Hour)
		if w := m.Visit(func(*ginsession.Session) {}); len(w.Header()) != 0 || len(m.store.IDs()) != 0 {
			t.Errorf("untouched: got %v and %d records", w.Header(), len(m.store.IDs()))
		}
		look := func(when string) func(*ginsession.Session) {
			return func(s *ginsession.Session) {
				if s.GetString("user") != "ann" || s.IsNew() || s.Rejected() != nil || !s.Permanent() || s.Modified() || s.Err() != nil {
					t.Errorf("%s: got %v, new %t, rejected %v, permanent %t, modified %t, %v", when, s.Keys(), s.IsNew(), s.Rejected(), s.Permanent(), s.Modified(), s.Err())
				}
				if !s.CreatedAt().Equal(created) || s.ExpiresAt().Sub(created) != 50*24*time.Hour {
					t.Errorf("%s: got a session from %v to %v, want 50 days from %v", when, s.CreatedAt(), s.ExpiresAt(), created)
				}
			}
		}
		lines := m.Visit(look("first")).SetCookies("__Host-session")
		if len(lines) != 1 || !strings.HasSuffix(lines[0], "; Max-Age=2592000") || m.Cookies()[0].Value == old || len(m.store.IDs()) != 1 {
			t.Errorf("got %q and %d records, want one of each, for the 30 days that are left", lines, len(m.store.IDs()))
		}
		if w := m.Visit(look("second")); len(w.SetCookies("__Host-session")) != 0 || m.store.Calls("save") != 1 {
			t.Errorf("second: got %q and %d saves, want no more", w.Header(), m.store.Calls("save"))
		}
		m.wantLines(t, "flashes", "Welcome")
		m.wantLines(t, "flashes")
		time.Sleep(30 * 24 * time.Hour)
		m.wantLines(t, "keys")
	})
}

func TestTxn_cookieMigration_changes(t *testing.T) {
	for _, row := range []struct {
		do      string
		want    []string
		records int
	}{
		{"set:b=2", []string{"b=2", "user=ann"}, 1},
		{"renew", []string{"user=ann"}, 1},
		{"keys,save", []string{"user=ann"}, 1},
		{"keys,save,set:user=bob,save", []string{"user=bob"}, 1},
		{"keys,save,renew", []string{"user=ann"}, 2}, // one is a tombstone
		{"clear,set:b=2", []string{"b=2"}, 1},
		{"destroy,set:b=2", []string{"b=2"}, 1},
		{"delete:user", nil, 0}, {"clear", nil, 0}, {"destroy", nil, 0}, {"keys,save,destroy", nil, 1},
	} {
		m := newMover(t, setUser)
		if w := m.Get("/?do=" + row.do); w.Code != http.StatusOK || w.Errors != nil || len(w.SetCookies("__Host-session")) != 1 {
			t.Errorf("%s: got %d, %v and %q", row.do, w.Code, w.Errors, w.Header())
		}
		if got := len(m.Cookies()); got != 1 && row.want != nil || got != 0 && row.want == nil || len(m.store.IDs()) != row.records {
			t.Errorf("%s: the browser keeps %v, and the store %d records, want %d", row.do, m.Cookies(), len(m.store.IDs()), row.records)
		}
		m.wantLines(t, "keys", row.want...)
	}
}

// TestTxn_cookieMigration_logOut: what was taken over does not come back to the
// browser that has logged out. A copy of the old cookie does, unless the app
// refuses it.
func TestTxn_cookieMigration_logOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v struct{ moment time.Time }
		valid := func(_ context.Context, s *ginsession.Session) (bool, error) {
			return !s.CreatedAt().Before(v.moment), nil
		}
		m := newMover(t, setUser, ginsession.WithValidator(valid))
		thief := m.Clone()
		m.wantLines(t, "keys", "user=ann")
		taken := m.Clone()
		m.Get("/?do=destroy")
		time.Sleep(5 * time.Minute)
		if m.wantLines(t, "keys"); len(m.Cookies()) != 0 {
			t.Errorf("the browser keeps %v, want nothing", m.Cookies())
		}
		if got := taken.Values(); len(got) != 0 {
			t.Errorf("a copy of the new cookie: got %v, want nothing", got)
		}
		if got := thief.Clone().Values(); got["user"] != "ann" {
			t.Errorf("a copy of the old cookie: got %v, want ann, as the documentation has it", got)
		}
		v.moment = time.Now()
		thief.Visit(func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), ginsession.ErrRevoked) || s.Len() != 0 {
				t.Errorf("refused: got %v and %v, want ErrRevoked", s.Keys(), s.Rejected())
			}
		})
	})
}

// TestTxn_cookieMigration_lifetime: the lifetime goes on, and so does the idle
// timeout.
func TestTxn_cookieMigration_lifetime(t *testing.T) {
	for name, opts := range map[string][]ginsession.Option{
		"lifetime":     {ginsession.WithLifetime(time.Hour)},
		"idle timeout": {ginsession.WithIdleTimeout(time.Hour)},
		"of its own":   {},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := func(s *ginsession.Session) {
				setUser(s)
				if name == "of its own" {
					s.SetLifetime(time.Hour)
				}
			}
			late := newMover(t, begin, opts...)
			m := newMover(t, begin, opts...)
			time.Sleep(50 * time.Minute)
			m.wantLines(t, "keys", "user=ann")
			time.Sleep(10 * time.Minute)
			late.Visit(func(s *ginsession.Session) {
				if !errors.Is(s.Rejected(), ginsession.ErrExpired) || s.Len() != 0 {
					t.Errorf("%s, not taken over: got %v and %v, want ErrExpired", name, s.Keys(), s.Rejected())
				}
			})
			want := []string{"user=ann"}
			if name != "idle timeout" {
				want = nil
			}
			m.wantLines(t, "keys", want...)
		})
	}
}

// TestTxn_cookieMigration_refuses: what does not open begins a fresh session, with
// the reason, and is replaced when that is stored.
func TestTxn_cookieMigration_refuses(t *testing.T) {
	sealed := func(secret string, do string, opts ...ginsession.Option) string {
		b := apptest.NewBrowser(apptest.Mount(apptest.Middleware(t, secret, opts...)))
		b.Get("/?do=" + do)
		return b.Cookies()[0].Value
	}
	good := sealed(apptest.Secret, "set:user=ann")
	for _, row := range []struct {
		what, value string
		want        error
	}{
		{"good", good, nil},
		{"damaged", good[:40] + string(good[40]^1) + good[41:], ginsession.ErrInvalid},
		{"cut", good[:len(good)-1], ginsession.ErrInvalid},
		{"empty", "", ginsession.ErrInvalid},
		{"nonsense", "nonsense", ginsession.ErrInvalid},
		{"another secret", sealed("another secret of 32 bytes or more", "set:user=ann"), ginsession.ErrInvalid},
		{"another name", sealed(apptest.Secret, "set:user=ann", ginsession.WithName("other")), ginsession.ErrInvalid},
		{"an id without a record", sealed(apptest.Secret, "set:user=ann", ginsession.WithStore(apptest.NewStore())), ginsession.ErrUnknown},
		{"Flask's", apptest.SignFlask(apptest.Secret, `{"user":"ann"}`, time.Now()), ginsession.ErrInvalid},
	} {
		m := newMover(t, setUser)
		m.Cookies()[0].Value = row.value
		m.Visit(func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), row.want) || s.IsNew() != (row.want != nil) || s.Has("user") != (row.want == nil) || s.Err() != nil {
				t.Errorf("%s: got %v, new %t, rejected %v, %v", row.what, s.Keys(), s.IsNew(), s.Rejected(), s.Err())
			}
		})
		if stored := len(m.store.IDs()) == 1; stored != (row.want == nil) {
			t.Errorf("%s: stored: %t", row.what, stored)
		}
		if row.want != nil {
			m.Set("b", 2)
			m.wantLines(t, "keys", "b=2")
		}
	}
}

// TestTxn_cookieMigration_secrets: those of the option open, and those of the
// middleware do not.
func TestTxn_cookieMigration_secrets(t *testing.T) {
	const older, oldest = "the older secret of the app, 32 bytes", "the oldest secret of the app, 32 bytes"
	for _, row := range []struct {
		sealed string
		want   []string
	}{{older, []string{"user=ann"}}, {oldest, []string{"user=ann"}}, {apptest.Secret, nil}} {
		b := apptest.NewBrowser(apptest.Mount(apptest.Middleware(t, row.sealed)))
		b.Get("/?do=set:user=ann")
		b.Handler = apptest.New(t, ginsession.WithStore(apptest.NewStore()), ginsession.WithCookieMigration(older, oldest))
		if got := b.Get("/?do=keys").Lines(); !slices.Equal(got, row.want) {
			t.Errorf("sealed under %q: got %q, want %q", row.sealed, got, row.want)
		}
	}
}

// TestTxn_cookieMigration_noMixUp: a session in a cookie is never looked up as an
// id, and the cookie of a store is never opened as a session, whatever their
// lengths.
func TestTxn_cookieMigration_noMixUp(t *testing.T) {
	m := newMover(t, func(s *ginsession.Session) { s.Set("", 1) }) // the shortest there is
	m.wantLines(t, "keys", "=1")
	if got := m.store.Calls("load"); got != 0 {
		t.Errorf("got %d loads for a session in a cookie, want none", got)
	}
	m.Mount(t) // back to cookies
	m.Visit(func(s *ginsession.Session) {
		if !errors.Is(s.Rejected(), ginsession.ErrInvalid) || s.Len() != 0 {
			t.Errorf("got %v and %v, want ErrInvalid", s.Keys(), s.Rejected())
		}
	})
}

// TestTxn_cookieMigration_late: what is first used after the headers have left
// stays in the old cookie.
func TestTxn_cookieMigration_late(t *testing.T) {
	m := newMover(t, setUser)
	old := m.Cookies()[0].Value
	for _, row := range []struct {
		do   string
		want error
	}{{"write:x,flush,keys", nil}, {"write:x,flush,keys,set:b=2", ginsession.ErrLate}} {
		w := m.Get("/?do=" + row.do)
		if got := errors.Join(w.Errors...); w.Code != http.StatusOK || !errors.Is(got, row.want) || m.Cookies()[0].Value != old {
			t.Errorf("%s: got %d, %v, %v", row.do, w.Code, got, w.Header())
		}
	}
	if m.Get("/?do=keys,write:x,flush"); m.Cookies()[0].Value == old || len(m.store.IDs()) != 1 {
		t.Errorf("used in time: got %d records, want one", len(m.store.IDs()))
	}
}

func TestTxn_cookieMigration_storeIsDown(t *testing.T) {
	m := newMover(t, setUser)
	m.store.Hook(func(apptest.Call) apptest.Fault { return apptest.Fault{Before: apptest.ErrStore} })
	for _, do := range []string{"keys", "set:a=2"} {
		if w := m.Get("/?do=" + do); w.Code != http.StatusServiceUnavailable || len(w.Result().Cookies()) != 0 {
			t.Errorf("%s: got %d, %v", do, w.Code, w.Header())
		}
	}
	m.store.Hook(nil)
	m.wantLines(t, "keys", "user=ann")
}

// TestTxn_cookieMigration_parallel: each request with the old cookie takes the
// session over, and the browser keeps that of the last response.
func TestTxn_cookieMigration_parallel(t *testing.T) {
	m := newMover(t, setUser)
	other := m.Clone()
	m.Get("/?do=set:a=1")
	other.Get("/?do=set:b=1")
	m.wantLines(t, "keys", "a=1", "user=ann")
	if got := other.Get("/?do=keys").Lines(); !slices.Equal(got, []string{"b=1", "user=ann"}) || len(m.store.IDs()) != 2 {
		t.Errorf("got %q and %d records, want two sessions", got, len(m.store.IDs()))
	}
}

// TestTxn_cookieMigration_several brings two old cookies, of which the newest
// counts, and logs out at once: neither is a record of the store.
func TestTxn_cookieMigration_several(t *testing.T) {
	for _, do := range []string{"get:user", "get:user,destroy", "get:user,set:a=1,renew"} {
		a := newApp(t)
		_, first := logIn(t, a, "ann")
		_, second := logIn(t, a, "bob")
		store := apptest.NewStore()
		a = newApp(t, ginsession.WithStore(store), ginsession.WithCookieMigration(apptest.Secret))
		w := send(a, "/?do="+do, first, second)
		if got := w.Lines(); w.Code != http.StatusOK || !slices.Equal(got, []string{"bob"}) || w.Errors != nil || store.Calls("load") != 0 {
			t.Errorf("%s: got %d, %q, %v and %d loads, want bob and none", do, w.Code, got, w.Errors, store.Calls("load"))
		}
	}
}

// TestTxn_cookieMigration_besideOurs: a session of the store wins over an old
// cookie of its name, and a change does not expire its cookie.
func TestTxn_cookieMigration_besideOurs(t *testing.T) {
	_, old := logIn(t, newApp(t), "ann")
	a := newApp(t, ginsession.WithStore(apptest.NewStore()), ginsession.WithCookieMigration(apptest.Secret))
	_, ours := logIn(t, a, "bob")
	for _, values := range [][]string{{old, ours}, {ours, old}} {
		w := send(a, "/?do=get:user,incr:n", values...)
		if got := w.Lines(); !slices.Equal(got, []string{"bob"}) || w.Errors != nil || strings.Contains(fmt.Sprint(w.SetCookies(cookieName)), "Max-Age=0") {
			t.Errorf("got %q, %v and %q, want bob, whose cookie stays", got, w.Errors, w.SetCookies(cookieName))
		}
	}
}

// TestTxn_Destroy_imports ends nothing in the storage for sessions that came from
// elsewhere.
func TestTxn_Destroy_imports(t *testing.T) {
	for _, line := range []string{"own=ann", "own=ann; own=eve", "old=ann; old=eve", "own=revoked", "own=eve; own=revoked"} {
		s := &storage{}
		c := newConfig(s)
		c.Validate = func(_ context.Context, view *txn.Txn) (bool, error) {
			user, _ := view.Content().Find("user")
			return user != "revoked", nil
		}
		x := load(c, line)
		x.Destroy()
		if err := x.Save(); err != nil || len(s.calls) != 0 {
			t.Errorf("%s: got %v and the calls %q, want none", line, err, s.calls)
		}
	}
}

// TestTxn_cookieMigration_andFlasks: a store's session counts, then that of the
// encrypted cookie, then Flask's; a log-out expires all.
func TestTxn_cookieMigration_andFlasks(t *testing.T) {
	for _, name := range []string{"__Host-session", "session"} {
		opts := []ginsession.Option{ginsession.WithName(name)}
		both := append(slices.Clone(opts), ginsession.WithStore(apptest.NewStore()), ginsession.WithCookieMigration(apptest.Secret), ginsession.WithFlaskMigration(flaskSecret))
		flask := apptest.SignFlask(flaskSecret, `{"user":"of Flask"}`, time.Now())
		for _, row := range []struct {
			sealed, flask bool
			want          string
		}{{true, true, "ann"}, {true, false, "ann"}, {false, true, "of Flask"}} {
			if name == "session" && row.sealed && row.flask {
				continue // a browser has one cookie of a name
			}
			m := migrant{apptest.NewVisitor(t, opts...), name}
			if row.sealed {
				m.Visit(setUser)
			}
			if row.flask {
				m.bring(flask)
			}
			m.Mount(t, both...)
			m.wantLines(t, "get:user", row.want)
			if got := m.names(); !slices.Equal(got, []string{name}) {
				t.Errorf("%s, %+v: the browser keeps %q, want ours", name, row, got)
			}
			m.wantLines(t, "get:user", row.want)
			if m.Get("/?do=destroy"); len(m.Cookies()) != 0 {
				t.Errorf("%s, %+v: after the log-out the browser keeps %q", name, row, m.names())
			}
		}
	}
}
