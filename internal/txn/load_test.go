package txn_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
