package cookie_test

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

const cookieName = "sid"

// storage is where a session can live. forge returns a cookie that looks like
// good and is not.
type storage struct {
	name  string
	opts  func(*apptest.Store) []ginsession.Option
	forge func(good string, i int) string
}

var storages = []storage{
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

// TestCookies_junkInFront puts junk before a good cookie, which still counts.
func TestCookies_junkInFront(t *testing.T) {
	shapes := []string{"", ".", "..", "junk", "a.b.c", "%20", "=", "!", "AAAA", strings.Repeat("A", 4000)}
	for _, storage := range storages {
		a := newApp(t, storage.opts(apptest.NewStore())...)
		_, good := logIn(t, a, "ann")
		var malformed, forged []string
		for i := range 20 {
			malformed = append(malformed, shapes[i%len(shapes)])
			forged = append(forged, storage.forge(good, i))
		}
		for _, row := range []struct {
			name  string
			front []string
		}{
			{"none", nil}, {"malformed", malformed}, {"forged", forged},
			{"both", slices.Concat(malformed, forged)}, {"both, the other way round", slices.Concat(forged, malformed)},
		} {
			if got := send(a, "/?do=get:user", append(slices.Clone(row.front), good)...).Lines(); !slices.Equal(got, []string{"ann"}) {
				t.Errorf("%s, %s: got %q, want ann", storage.name, row.name, got)
			}
		}
	}
}

// TestCookies_lookups sends genuine ids, all but the last of dead sessions: 8
// of them are looked up, and no more.
func TestCookies_lookups(t *testing.T) {
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

// TestFlaskCookie_inflatesFew sends a signed cookie that inflates to over 1 MiB,
// 720 times. A request inflates few of them, and those not far.
func TestFlaskCookie_inflatesFew(t *testing.T) {
	bomb := signFlask(apptest.Secret, `{"a":"`+strings.Repeat("a", 1<<20)+`"}`, time.Now())
	a := newApp(t, ginsession.WithFlaskCookie())
	a.GET("/untouched", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	for _, path := range []string{"/untouched", "/?do=keys", "/?do=destroy"} {
		send(a, path, bomb)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := send(a, path, slices.Repeat([]string{bomb}, 720)...)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(20<<20); got > most {
			t.Errorf("%s: got %d MiB allocated, want %d at most", path, got>>20, most>>20)
		}
		if w.Code >= 500 {
			t.Errorf("%s: got %d", path, w.Code)
		}
	}
}

// signFlask signs a JSON text as Flask does, compressed.
func signFlask(secret, text string, at time.Time) string {
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha1.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	seconds := binary.BigEndian.AppendUint32(nil, uint32(at.Unix()))
	encode := base64.RawURLEncoding.EncodeToString
	signed := "." + encode(packed.Bytes()) + "." + encode(seconds)
	return signed + "." + encode(mac(mac([]byte(secret), "cookie-session"), signed))
}

func TestSignFlask(t *testing.T) {
	a := newApp(t, ginsession.WithFlaskCookie())
	good := signFlask(apptest.Secret, `{"user":"ann"}`, time.Now())
	if got := send(a, "/?do=get:user", good).Lines(); !slices.Equal(got, []string{"ann"}) {
		t.Errorf("got %q, want ann: what the tests sign is not Flask's", got)
	}
}

// TestFlaskCookie_writesOnlyWhatItReads: a session that compresses well is
// either stored and read back, or refused; what was stored before is intact.
func TestFlaskCookie_writesOnlyWhatItReads(t *testing.T) {
	a := newApp(t, ginsession.WithFlaskCookie())
	size := 0
	a.GET("/fill", func(c *gin.Context) { ginsession.From(c).Set("a", strings.Repeat("a", size)) })
	a.GET("/size", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "%s %d", s.GetString("user"), len(s.GetString("a")))
	})
	for _, size = range []int{1 << 10, 10 << 10, 30 << 10, 100 << 10, 300 << 10, 1<<20 - 40, 1<<20 - 1, 1 << 20, 2 << 20} {
		b, _ := logIn(t, a, "ann")
		w := b.Get("/fill")
		want := fmt.Sprint("ann ", size)
		if w.Code != http.StatusOK {
			want = "ann 0"
			if w.Code != http.StatusInternalServerError || len(w.Errors) != 1 || !errors.Is(w.Errors[0], ginsession.ErrTooLarge) {
				t.Errorf("%d bytes: got %d and %v, want 500 and ErrTooLarge", size, w.Code, w.Errors)
			}
		}
		if got := b.Get("/size").Body.String(); got != want {
			t.Errorf("%d bytes, answered with %d: got %q, want %q", size, w.Code, got, want)
		}
	}
}

// TestFlaskCookie_junkCostsNoSignature sends 30,000 cookies without the form of
// one. More secrets do not make that slower: none is tried.
func TestFlaskCookie_junkCostsNoSignature(t *testing.T) {
	junk := slices.Repeat([]string{"."}, 30_000)
	var previous []string
	for i := range 20 {
		previous = append(previous, fmt.Sprintf("an earlier secret, 32 bytes or more: %d", i))
	}
	one := fastest(newApp(t, ginsession.WithFlaskCookie()), junk)
	many := fastest(newApp(t, ginsession.WithFlaskCookie(), ginsession.WithPreviousSecrets(previous...)), junk)
	if many > 3*one {
		t.Errorf("got %v with 21 secrets and %v with one, want no difference", many, one)
	}
}

// fastest returns how long the fastest of five requests took.
func fastest(h http.Handler, values []string) time.Duration {
	best := time.Hour
	for range 5 {
		start := time.Now()
		send(h, "/?do=keys", values...)
		best = min(best, time.Since(start))
	}
	return best
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
type moved struct {
	before, after *apptest.App
}

func eachMoved(t *testing.T, run func(t *testing.T, storage storage, m moved)) {
	for _, storage := range storages {
		for _, variant := range variants {
			t.Run(storage.name+" "+variant.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := storage.opts(apptest.NewStore())
					run(t, storage, moved{newApp(t, opts...), newApp(t, append(slices.Clone(opts), variant.opts...)...)})
				})
			})
		}
	}
}

// both returns a browser with the cookie of an old session at the app before,
// and that of a younger one at the app after; reversed, the former is younger.
func (m moved) both(t *testing.T, reversed bool) *apptest.Browser {
	t.Helper()
	users := []string{"old", "young"}
	if reversed {
		users = []string{"young", "old"}
	}
	logIn := func(a *apptest.App, user string) *apptest.Browser {
		b := apptest.NewBrowser(a)
		b.Get("/app/?do=set:user=" + user)
		time.Sleep(2 * time.Second) // Flask's form has whole seconds
		return b
	}
	var first, second *apptest.Browser
	if reversed {
		second = logIn(m.after, users[1])
		first = logIn(m.before, users[0])
	} else {
		first = logIn(m.before, users[0])
		second = logIn(m.after, users[1])
	}
	first.Join(second)
	first.Handler = m.after
	req := httptest.NewRequest(http.MethodGet, "/app/", http.NoBody)
	if got := len(first.CookiesFor(req)); got != 2 {
		t.Fatalf("the browser sends %d cookies, want 2", got)
	}
	return first
}

// TestCookies_variants_newestWins: whichever comes first, the session that is
// younger counts.
func TestCookies_variants_newestWins(t *testing.T) {
	eachMoved(t, func(t *testing.T, _ storage, m moved) {
		for _, reversed := range []bool{false, true} {
			b := m.both(t, reversed)
			if got := b.Get("/app/?do=get:user").Lines(); !slices.Equal(got, []string{"young"}) {
				t.Errorf("the cookie from before is younger: %v: got %q, want young", reversed, got)
			}
		}
	})
}

// TestCookies_variants_write: a write leaves one cookie, and further writes
// expire nothing.
func TestCookies_variants_write(t *testing.T) {
	eachMoved(t, func(t *testing.T, _ storage, m moved) {
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

// TestCookies_variants_logOut: a log-out ends all sessions that came.
func TestCookies_variants_logOut(t *testing.T) {
	eachMoved(t, func(t *testing.T, storage storage, m moved) {
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
			if got := send(m.after, "/app/?do=keys", value).Lines(); storage.name == "store" && len(got) != 0 {
				t.Errorf("a copy of a cookie: got %q, want nothing", got)
			}
		}
	})
}

// TestCookies_variants_logIn logs in and out with a cookie from before.
func TestCookies_variants_logIn(t *testing.T) {
	eachMoved(t, func(t *testing.T, _ storage, m moved) {
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
