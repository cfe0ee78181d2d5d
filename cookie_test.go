package ginsession_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/seal"
)

const otherSecret = "another secret, also of 32 bytes or more"

// with sends one request to a handler behind one middleware.
func with(t testing.TB, h gin.HandlerFunc, cookies []*http.Cookie, fn func(*ginsession.Session)) *httptest.ResponseRecorder {
	t.Helper()
	r := gin.New()
	r.Use(h)
	r.GET("/", func(c *gin.Context) { fn(c.MustGet(contextKey(c)).(*ginsession.Session)) })
	return do(t, r, http.MethodGet, "/", cookies...)
}

// contextKey finds the one session of a context, under whatever key.
func contextKey(c *gin.Context) any {
	for key, v := range c.Keys {
		if _, ok := v.(*ginsession.Session); ok {
			return key
		}
	}
	return ginsession.Key
}

func mustNew(t testing.TB, secret string, opts ...ginsession.Option) gin.HandlerFunc {
	t.Helper()
	h, err := ginsession.New(secret, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// cookieOf returns the cookie of a session in which "who" is set.
func cookieOf(t testing.TB, h gin.HandlerFunc, who string) *http.Cookie {
	t.Helper()
	w := with(t, h, nil, func(s *ginsession.Session) { s.Set("who", who) })
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got %d cookies, want 1: %v", len(cookies), w.Header())
	}
	return cookies[0]
}

// seen is what a handler sees of a session.
type seen struct {
	who      string
	isNew    bool
	rejected error
}

func look(t testing.TB, h gin.HandlerFunc, cookies ...*http.Cookie) (got seen) {
	t.Helper()
	with(t, h, cookies, func(s *ginsession.Session) { got = seen{s.GetString("who"), s.IsNew(), s.Rejected()} })
	return got
}

func setCookies(w *httptest.ResponseRecorder) []string { return w.Header()["Set-Cookie"] }

// attributes cuts the value out of a Set-Cookie line.
func attributes(line string) string {
	name, rest, _ := strings.Cut(line, "=")
	_, rest, _ = strings.Cut(rest, ";")
	return name + "=…;" + rest
}

func TestCookie_line(t *testing.T) {
	rows := []struct {
		name string
		opts []ginsession.Option
		want string
	}{
		{"default", nil, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"insecure", []ginsession.Option{ginsession.WithInsecureCookie()}, "session=…; Path=/; HttpOnly; SameSite=Lax"},
		{"path", []ginsession.Option{ginsession.WithPath("/app")}, "session=…; Path=/app; HttpOnly; Secure; SameSite=Lax"},
		{"domain", []ginsession.Option{ginsession.WithDomain("example.com")}, "session=…; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
		{"name", []ginsession.Option{ginsession.WithName("sid")}, "sid=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"script access", []ginsession.Option{ginsession.WithScriptAccess()}, "__Host-session=…; Path=/; Secure; SameSite=Lax"},
		{"strict", []ginsession.Option{ginsession.WithSameSite(http.SameSiteStrictMode)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Strict"},
		{"none", []ginsession.Option{ginsession.WithSameSite(http.SameSiteNoneMode)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=None"},
		{"browser's default", []ginsession.Option{ginsession.WithSameSite(http.SameSiteDefaultMode)}, "__Host-session=…; Path=/; HttpOnly; Secure"},
		{"partitioned", []ginsession.Option{ginsession.WithPartitioned()}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Partitioned"},
		{"permanent", []ginsession.Option{ginsession.WithPermanent()}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=2678400"},
		{"permanent, lifetime", []ginsession.Option{ginsession.WithPermanent(), ginsession.WithLifetime(90 * time.Second)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=90"},
		{"permanent, parts of a second", []ginsession.Option{ginsession.WithPermanent(), ginsession.WithLifetime(90*time.Second + 1)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=91"},
		{"permanent, very short", []ginsession.Option{ginsession.WithPermanent(), ginsession.WithLifetime(10 * time.Millisecond)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=1"},
		{"permanent, longest", []ginsession.Option{ginsession.WithPermanent(), ginsession.WithLifetime(math.MaxInt64)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=9223372037"},
		{"permanent, idle timeout", []ginsession.Option{ginsession.WithPermanent(), ginsession.WithIdleTimeout(time.Hour)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=3600"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := with(t, mustNew(t, secret, row.opts...), nil, func(s *ginsession.Session) { s.Set("who", "ann") })
				lines := setCookies(w)
				if len(lines) != 1 || attributes(lines[0]) != row.want {
					t.Errorf("got %q, want %q", lines, row.want)
				}
			})
		})
	}
}

func TestCookie_longestLifetime(t *testing.T) {
	h := mustNew(t, secret, ginsession.WithLifetime(math.MaxInt64), ginsession.WithIdleTimeout(math.MaxInt64))
	if got := look(t, h, cookieOf(t, h, "ann")); got.who != "ann" || got.rejected != nil {
		t.Errorf("got %+v, want ann", got)
	}
}

func TestCookie_expiredWithPathAndDomain(t *testing.T) {
	h := mustNew(t, secret, ginsession.WithName("sid"), ginsession.WithPath("/app"), ginsession.WithDomain("example.com"))
	const want = "sid=; Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
	for name, empty := range map[string]func(*ginsession.Session){
		"Delete":  func(s *ginsession.Session) { s.Delete("who") },
		"Pop":     func(s *ginsession.Session) { s.Pop("who") },
		"Clear":   func(s *ginsession.Session) { s.Clear() },
		"Destroy": func(s *ginsession.Session) { s.Destroy() },
	} {
		w := with(t, h, []*http.Cookie{cookieOf(t, h, "ann")}, empty)
		if lines := setCookies(w); len(lines) != 1 || lines[0] != want {
			t.Errorf("%s: got %q, want %q", name, lines, want)
		}
		if cookies := w.Result().Cookies(); len(cookies) != 1 || cookies[0].MaxAge != -1 {
			t.Errorf("%s: net/http reads %v, want a deletion", name, cookies)
		}
	}
}

func TestCookie_valueIsOpaque(t *testing.T) {
	h := mustNew(t, secret)
	k := cookieOf(t, h, "a recognisable value")
	box, err := seal.AppendBox(nil, k.Value)
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{"recognisable", "who", "session"} {
		if bytes.Contains(box, []byte(plain)) {
			t.Errorf("the cookie shows %q", plain)
		}
	}
	if again := cookieOf(t, h, "a recognisable value"); again.Value == k.Value {
		t.Error("two cookies of one session are alike")
	}
}

func TestCookie_forged(t *testing.T) {
	h := mustNew(t, secret)
	k := cookieOf(t, h, "ann")
	flipped := []byte(k.Value)
	flipped[40] ^= 1
	rows := []struct{ name, value string }{
		{"empty", ""}, {"plain", "who=ann"}, {"quoted", `"` + k.Value + `"`}, {"cut", k.Value[:len(k.Value)-1]}, {"extended", k.Value + "A"}, {"escaped", "%41" + k.Value[1:]},
		{"flipped", string(flipped)}, {"padded", k.Value + "="}, {"twice", k.Value + k.Value}, {"nonce only", k.Value[:32]}, {"5000 bytes", strings.Repeat("A", 5000)},
		{"other secret", cookieOf(t, mustNew(t, otherSecret), "ann").Value}, {"other name", cookieOf(t, mustNew(t, secret, ginsession.WithName("other")), "ann").Value},
	}
	for _, row := range rows {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Cookie", k.Name+"="+row.value)
		r := newEngine(t)
		var got seen
		r.GET("/", func(c *gin.Context) {
			s := ginsession.From(c)
			got = seen{s.GetString("who"), s.IsNew(), s.Rejected()}
		})
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if want := (seen{"", true, ginsession.ErrInvalid}); got != want {
			t.Errorf("%s: got %+v, want %+v", row.name, got, want)
		}
		if w.Code != http.StatusOK || len(setCookies(w)) != 0 {
			t.Errorf("%s: got %d and %q, want 200 and no cookie", row.name, w.Code, setCookies(w))
		}
	}
	if got := look(t, h, k); got != (seen{who: "ann"}) {
		t.Errorf("the genuine one: got %+v", got)
	}
}

// TestCookie_sealedButDamaged: what is not a container is refused even under
// the right key.
func TestCookie_sealedButDamaged(t *testing.T) {
	h := mustNew(t, secret)
	for _, plaintext := range []string{"", "x", "\x10", "\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"} {
		k := &http.Cookie{Name: "__Host-session", Value: ginsession.SealCookie(secret, "__Host-session", plaintext)}
		if got := look(t, h, k); got != (seen{"", true, ginsession.ErrInvalid}) {
			t.Errorf("%q: got %+v, want ErrInvalid", plaintext, got)
		}
	}
}

func TestCookie_name_bindsTheValue(t *testing.T) {
	a, b := mustNew(t, secret, ginsession.WithName("a")), mustNew(t, secret, ginsession.WithName("b"))
	k := cookieOf(t, a, "ann")
	k.Name = "b"
	if got := look(t, b, k); got != (seen{"", true, ginsession.ErrInvalid}) {
		t.Errorf("got %+v, want ErrInvalid", got)
	}
}

func TestCookie_duplicates(t *testing.T) {
	h := mustNew(t, secret)
	ann, bob := cookieOf(t, h, "ann"), cookieOf(t, h, "bob")
	junk := &http.Cookie{Name: ann.Name, Value: "junk"}
	other := &http.Cookie{Name: "__host-session", Value: ann.Value} // names are case-sensitive
	prefix := &http.Cookie{Name: ann.Name + "2", Value: bob.Value}
	rows := []struct {
		name string
		sent []*http.Cookie
		want seen
	}{
		{"none", nil, seen{"", true, nil}},
		{"two good", []*http.Cookie{ann, bob}, seen{who: "bob"}},
		{"two good, the other way round", []*http.Cookie{bob, ann}, seen{who: "bob"}},
		{"junk first", []*http.Cookie{junk, ann}, seen{who: "ann"}},
		{"junk last", []*http.Cookie{ann, junk}, seen{who: "ann"}},
		{"junk only", []*http.Cookie{junk, junk}, seen{"", true, ginsession.ErrInvalid}},
		{"other names", []*http.Cookie{other, prefix}, seen{"", true, nil}},
		{"among others", []*http.Cookie{other, prefix, {Name: "x", Value: "y"}, bob}, seen{who: "bob"}},
	}
	for _, row := range rows {
		if got := look(t, h, row.sent...); got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.name, got, row.want)
		}
	}
}

func TestCookie_duplicates_expired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := mustNew(t, secret, ginsession.WithLifetime(time.Hour))
		old := cookieOf(t, h, "old")
		junk := &http.Cookie{Name: old.Name, Value: "junk"}
		time.Sleep(time.Hour)
		fresh := cookieOf(t, h, "fresh")
		for _, sent := range [][]*http.Cookie{{old}, {old, junk}, {junk, old}} {
			if got := look(t, h, sent...); got != (seen{"", true, ginsession.ErrExpired}) {
				t.Errorf("got %+v, want ErrExpired", got)
			}
		}
		if got := look(t, h, junk, old, fresh); got != (seen{who: "fresh"}) {
			t.Errorf("got %+v, want fresh", got)
		}
	})
}

// TestCookie_manyLines: HTTP/2 lets a browser send each cookie on its own.
func TestCookie_manyLines(t *testing.T) {
	h := mustNew(t, secret)
	k := cookieOf(t, h, "ann")
	pair := k.Name + "=" + k.Value
	for _, lines := range [][]string{{"a=b", pair}, {"a=b; c", pair + ";"}, {"a=b;" + pair}, {";; " + pair + " ;"}, {"=x;\t" + pair + "\t"}, {"a=" + k.Name + "; " + pair}} {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header["Cookie"] = lines
		r := newEngine(t)
		var who string
		r.GET("/", func(c *gin.Context) { who = ginsession.From(c).GetString("who") })
		r.ServeHTTP(httptest.NewRecorder(), req)
		if who != "ann" {
			t.Errorf("%q: got %q, want ann", lines, who)
		}
	}
}

func TestCookie_rotation(t *testing.T) {
	before := mustNew(t, secret)
	during := mustNew(t, otherSecret, ginsession.WithPreviousSecrets("a third secret, that nobody has used before", secret))
	after := mustNew(t, otherSecret)
	k := cookieOf(t, before, "ann")

	if got := look(t, after, k); got.rejected != ginsession.ErrInvalid {
		t.Errorf("without the old secret: got %+v, want ErrInvalid", got)
	}
	w := with(t, during, []*http.Cookie{k}, func(s *ginsession.Session) {
		if got := s.GetString("who"); got != "ann" {
			t.Errorf("got %q, want ann", got)
		}
	})
	if lines := setCookies(w); len(lines) != 0 {
		t.Errorf("sealed again without a write: %q", lines)
	}
	w = with(t, during, []*http.Cookie{k}, func(s *ginsession.Session) { s.Set("n", 1) })
	if got := look(t, after, w.Result().Cookies()...); got != (seen{who: "ann"}) {
		t.Errorf("after the next write: got %+v, want ann under the new secret", got)
	}
	if got := look(t, before, w.Result().Cookies()...); got.rejected != ginsession.ErrInvalid {
		t.Errorf("the old secret opens what the new one sealed: %+v", got)
	}
}

// TestCookie_atTheLimit finds the longest value that fits.
func TestCookie_atTheLimit(t *testing.T) {
	h := mustNew(t, secret)
	base := len(setCookies(with(t, h, nil, func(s *ginsession.Session) { s.Set("k", strings.Repeat("x", 2000)) }))[0])
	fits, last := 0, ""
	for n := 2000 + (4096-base)*3/4 - 8; n < 4000; n++ {
		w := with(t, h, nil, func(s *ginsession.Session) { s.Set("k", strings.Repeat("x", n)) })
		if w.Code != http.StatusOK {
			break
		}
		fits, last = n, setCookies(w)[0]
	}
	if len(last) < 4095 || len(last) > 4096 { // base64 leaps over some lengths
		t.Errorf("the longest line has %d bytes, want 4096 or just below", len(last))
	}
	var err error
	w := with(t, h, nil, func(s *ginsession.Session) {
		s.Set("k", strings.Repeat("x", fits+1))
		err = s.Save()
	})
	if !errors.Is(err, ginsession.ErrTooLarge) || len(setCookies(w)) != 0 {
		t.Errorf("one byte more: got %v and %q, want ErrTooLarge and no cookie", err, setCookies(w))
	}
}

// TestCookie_exactly4096: the name fills up what base64 leaps over.
func TestCookie_exactly4096(t *testing.T) {
	length := func(name string) (line int, err error) {
		h := mustNew(t, secret, ginsession.WithName(name))
		w := with(t, h, nil, func(s *ginsession.Session) {
			s.Set("k", strings.Repeat("x", 2800))
			err = s.Save()
		})
		for _, l := range setCookies(w) {
			line = len(l)
		}
		return line, err
	}
	one, _ := length("n")
	exact := strings.Repeat("n", 1+4096-one)
	if got, err := length(exact); got != 4096 || err != nil {
		t.Errorf("got %d bytes, %v, want 4096, nil", got, err)
	}
	if got, err := length(exact + "n"); got != 0 || !errors.Is(err, ginsession.ErrTooLarge) {
		t.Errorf("got %d bytes, %v, want none, ErrTooLarge", got, err)
	}
}

func TestCookie_tooLarge_keepsWhatWasStored(t *testing.T) {
	h := mustNew(t, secret)
	k := cookieOf(t, h, "ann")
	w := with(t, h, []*http.Cookie{k}, func(s *ginsession.Session) { s.Set("big", strings.Repeat("x", 5000)) })
	if w.Code != http.StatusInternalServerError || len(setCookies(w)) != 0 {
		t.Errorf("got %d and %q, want 500 and no cookie", w.Code, setCookies(w))
	}
	if got := look(t, h, k); got != (seen{who: "ann"}) {
		t.Errorf("got %+v, want ann", got)
	}
}

// reader answers with what a session holds; the fuzz target and the soak send
// their cookies to it.
type reader struct {
	r    *gin.Engine
	last seen
}

func newReader(t testing.TB, opts ...ginsession.Option) *reader {
	k := &reader{r: newEngine(t, opts...)}
	k.r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		k.last = seen{fmt.Sprint(s.Keys()) + s.GetString("who"), s.IsNew(), s.Rejected()}
	})
	return k
}

func (k *reader) read(header string) (seen, *httptest.ResponseRecorder) {
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header["Cookie"] = []string{header}
	w := httptest.NewRecorder()
	k.r.ServeHTTP(w, req)
	return k.last, w
}

// genuine was sealed under the tests' secret and is good for 292 years.
const genuine = "_Pt1vNGrxnwjHcLqk-eAtHxWHKUc1lEesz0IDjZuRHUa2Wx8a8tguYYGKvJSH7-pZXTytbimIZyWtVNrMS_MGSG-U6pPxKpMRzML3pEzZWgiamMTWjfsfR3Iug"

// FuzzCookie: whatever a browser sends, there is no panic, no error page and no
// session but the one that was handed out.
func FuzzCookie(f *testing.F) {
	const name = "__Host-session="
	for _, header := range []string{
		"", name, name + "x", name + genuine, name + genuine[1:], name + genuine + "A", name + genuine + "; " + name + "x", name + "x; " + name + genuine,
		name + `"` + genuine + `"`, name + genuine + "=", name + genuine + "\n", "session=" + genuine, ";;=;" + name, name + strings.Repeat("A", 4097), "a=b; " + name + genuine + " ; c",
	} {
		f.Add(header)
	}
	k := newReader(f, ginsession.WithLifetime(math.MaxInt64))
	f.Fuzz(func(t *testing.T, header string) {
		got, w := k.read(header)
		if w.Code != http.StatusOK || len(setCookies(w)) != 0 {
			t.Errorf("%.300q: got %d and %q, want 200 and no cookie", header, w.Code, setCookies(w))
		}
		if !got.isNew && (got.who != "[who]ann" || !strings.Contains(header, name+genuine)) {
			t.Errorf("forged: %.300q gives %+v", header, got)
		}
		if got.isNew && (got.who != "[]" || got.rejected != nil && !errors.Is(got.rejected, ginsession.ErrInvalid)) {
			t.Errorf("%.300q: got %+v, want an empty session", header, got)
		}
	})
}
