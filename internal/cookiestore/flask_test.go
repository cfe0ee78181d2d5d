package cookiestore_test

import (
	"errors"
	"fmt"
	"html/template"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/flask"
	"github.com/ginsession/ginsession/internal/flasktest"
)

// TestFlask_Load_inflatesFew sends a signed cookie that inflates to over 1 MiB,
// 720 times. A request inflates few of them, and those not far.
func TestFlask_Load_inflatesFew(t *testing.T) {
	bomb := apptest.SignFlask(apptest.Secret, `{"a":"`+strings.Repeat("a", 1<<20)+`"}`, time.Now())
	a := apptest.New(t, ginsession.WithFlaskCookie())
	if got := send(a, "/?do=get:user", apptest.SignFlask(apptest.Secret, `{"user":"ann"}`, time.Now())).Lines(); !slices.Equal(got, []string{"ann"}) {
		t.Fatalf("got %q, want ann: what the tests sign is not Flask's", got)
	}
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

// TestFlask_Commit_writesOnlyWhatItReads: a session that compresses well is
// either stored and read back, or refused; what was stored before is intact.
func TestFlask_Commit_writesOnlyWhatItReads(t *testing.T) {
	a := apptest.New(t, ginsession.WithFlaskCookie())
	size := 0
	a.GET("/fill", func(c *gin.Context) { ginsession.From(c).Set("a", strings.Repeat("a", size)) })
	a.GET("/size", func(c *gin.Context) {
		s := ginsession.From(c)
		c.String(http.StatusOK, "%s %d", s.GetString("user"), len(s.GetString("a")))
	})
	for _, size = range []int{1 << 10, 10 << 10, 30 << 10, 100 << 10, 300 << 10, 1<<20 - 40, 1<<20 - 1, 1 << 20, 2 << 20} {
		b := apptest.NewBrowser(a)
		b.Get("/?do=set:user=ann")
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

// TestFlask_Rank_junkCostsNoSignature sends 30,000 cookies without the form of
// one. More secrets do not make that slower: none is tried.
func TestFlask_Rank_junkCostsNoSignature(t *testing.T) {
	var junk, previous []string
	for i := range 30_000 {
		junk = append(junk, fmt.Sprint(i)) // equal ones would be looked at once
	}
	for i := range 20 {
		previous = append(previous, fmt.Sprintf("an earlier secret, 32 bytes or more: %d", i))
	}
	one, many := apptest.New(t, ginsession.WithFlaskCookie()), apptest.New(t, ginsession.WithFlaskCookie(), ginsession.WithPreviousSecrets(previous...))
	request := func(h http.Handler) time.Duration {
		start := time.Now()
		send(h, "/?do=keys", junk...)
		return time.Since(start)
	}
	few, more := time.Hour, time.Hour // the fastest: what others do on the machine only adds to it
	for start := time.Now(); ; {
		if few, more = min(few, request(one)), min(more, request(many)); more <= 3*few {
			return
		}
		if time.Since(start) > 3*time.Second {
			t.Fatalf("got %v with 21 secrets and %v with one, want no difference", more, few)
		}
	}
}

// send requests a page with these cookies, in this order.
func send(h http.Handler, path string, values ...string) *apptest.Response {
	req := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	req.Header.Set("Cookie", "session="+strings.Join(values, "; session="))
	return apptest.NewBrowser(h).Do(req)
}

// flaskVisitor visits an app with Flask's cookie.
type flaskVisitor struct {
	*apptest.Visitor
	t *testing.T
}

func newFlaskVisitor(t *testing.T, opts ...ginsession.Option) flaskVisitor {
	return flaskVisitor{apptest.NewVisitor(t, append(opts, ginsession.WithFlaskCookie())...), t}
}

// with runs fn on the session in a cookie, "" for none.
func (v flaskVisitor) with(cookie string, fn func(*ginsession.Session)) *apptest.Response {
	b := apptest.NewBrowser(v.Handler)
	if cookie != "" {
		w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
		w.Header().Set("Set-Cookie", "session="+cookie+"; Path=/")
		b.Take(req, &apptest.Response{ResponseRecorder: w})
	}
	v.Browser = b
	return v.Visit(fn)
}

// signed is [flaskVisitor.with] for the session in a JSON text.
func (v flaskVisitor) signed(json string, fn func(*ginsession.Session)) *apptest.Response {
	return v.with(apptest.SignFlask(apptest.Secret, json, time.Now()), fn)
}

// send requests a path with the session in a JSON text.
func (v flaskVisitor) send(path, json string) *apptest.Response {
	return send(v.Handler, path, apptest.SignFlask(apptest.Secret, json, time.Now()))
}

// json returns the JSON text in the cookie of a response, or "".
func (v flaskVisitor) json(w *apptest.Response) string {
	v.t.Helper()
	value := cookieOf(w)
	if value == "" {
		return ""
	}
	text, _, err := flask.NewSigner(apptest.Secret).Open(value, time.Now(), time.Hour)
	if err != nil {
		v.t.Errorf("%s: %v", value, err)
	}
	return text
}

// cookieOf returns the value of the cookie that a response sets, or "".
func cookieOf(w *apptest.Response) string {
	for _, k := range w.Result().Cookies() {
		return k.Value
	}
	return ""
}

// TestFlask_testClient has Flask's own test client, as the tests of an app use
// it, take a cookie of Go and hand one back.
func TestFlask_testClient(t *testing.T) {
	o, v := flasktest.New(t, apptest.Secret), newFlaskVisitor(t)
	cookie := cookieOf(v.with("", func(s *ginsession.Session) { s.Set("go", "was here") }))
	got := flasktest.Ask[struct {
		Before flasktest.Session
		Cookie string
	}](o, &flasktest.Question{Do: "client", Cookies: []string{cookie}})
	if want := flasktest.Describe("was here"); len(got.Before) != 1 || got.Before[flasktest.Describe("go")] != want {
		t.Errorf("session_transaction finds %s, want %s", got.Before, want)
	}
	v.with(got.Cookie, func(s *ginsession.Session) {
		if s.GetString("go") != "was here" || s.GetString("python") != "was here" || s.Len() != 2 {
			t.Errorf("Go finds %v", s.Keys())
		}
	})
}

// TestFlask_flashes has get_flashed_messages take what Go has flashed, and Go what
// Flask has.
func TestFlask_flashes(t *testing.T) {
	o, v := flasktest.New(t, apptest.Secret), newFlaskVisitor(t)
	cookie := cookieOf(v.with("", func(s *ginsession.Session) {
		s.AddFlash("Hellö", "")
		s.AddFlash(template.HTML("<b>no</b>"), "error")
		s.Set("kept", 1)
	}))
	answer := flasktest.Ask[struct {
		Flashes [][2]string
		Lines   []string
	}](o, &flasktest.Question{Do: "flashes", Cookies: []string{cookie}})
	want := [][2]string{{"message", flasktest.Describe("Hellö")}, {"error", flasktest.Describe(template.HTML("<b>no</b>"))}}
	if !slices.Equal(answer.Flashes, want) || len(answer.Lines) != 1 {
		t.Errorf("to Flask: got %q, want %q", answer, want)
	}

	cookie = flasktest.Ask[string](o, &flasktest.Question{Do: "dump", Set: map[string]string{"kept": "(1,)"}, Flashes: [][2]string{
		{"message", "'Hell\\u00f6'"}, {"error", "Markup('<b>no</b>')"}, {"odd", "{' t': 1}"}, {"error", "'two'"},
	}})
	rest := v.with(cookie, func(s *ginsession.Session) {
		want := []ginsession.Flash{{Message: template.HTML("<b>no</b>"), Category: "error"}, {Message: "two", Category: "error"}}
		if got := s.Flashes("error"); !reflect.DeepEqual(got, want) {
			t.Errorf("from Flask: got %v, want %v", got, want)
		}
	})
	const others = `{"_flashes":[{" t":["message","Hell\u00f6"]},{" t":["odd",{" di":{" t__":1}}]}],"kept":{" t":[1]}}`
	if got := v.json(rest); got != others {
		t.Errorf("the other categories: got %s, want %s", got, others)
	}
}

func TestFlask_Load(t *testing.T) {
	v := newFlaskVisitor(t, ginsession.WithLifetime(time.Hour))
	now := time.Now()
	for _, row := range []struct {
		name, json string
		age        time.Duration
		want       error
	}{
		{"good", `{"a":1}`, 0, nil},
		{"nearly expired", `{"a":1}`, 59 * time.Minute, nil},
		{"expired", `{"a":1}`, 61 * time.Minute, ginsession.ErrExpired},
		{"ahead", `{"a":1}`, -time.Minute, ginsession.ErrExpired},
		{"a list", `[]`, 0, ginsession.ErrInvalid},
		{"nothing", ``, 0, ginsession.ErrInvalid},
		{"a wrong tag", `{"a":{" b":1}}`, 0, ginsession.ErrInvalid},
		{"long", `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, 0, ginsession.ErrInvalid},
	} {
		cookie := apptest.SignFlask(apptest.Secret, row.json, now.Add(-row.age))
		w := v.with(cookie, func(s *ginsession.Session) {
			if !errors.Is(s.Rejected(), row.want) || s.IsNew() != (row.want != nil) || s.Len() > 0 != (row.want == nil) || s.Err() != nil {
				t.Errorf("%s: got %v, new %t, %v, want %v", row.name, s.Rejected(), s.IsNew(), s.Keys(), row.want)
			}
			s.Set("b", 1)
		})
		if got := v.json(w); strings.Contains(got, `"a":`) != (row.want == nil) || !strings.Contains(got, `"b":1`) {
			t.Errorf("%s, then set: got %.80s", row.name, got)
		}
	}
}

// TestFlask_Rank: of several cookies, the one that was signed last is the session,
// wherever it stands.
func TestFlask_Rank(t *testing.T) {
	a := apptest.New(t, ginsession.WithFlaskCookie())
	now := time.Now()
	older := apptest.SignFlask(apptest.Secret, `{"a":"old"}`, now.Add(-time.Second))
	newer := apptest.SignFlask(apptest.Secret, `{"a":"new"}`, now)
	forged := apptest.SignFlask("somebody else's secret, forged", `{"a":"forged"}`, now)
	for _, values := range [][]string{{forged, older, newer, "x"}, {newer, older}, {"x", newer, forged}} {
		if got := send(a, "/?do=get:a", values...).Lines(); !slices.Equal(got, []string{"new"}) {
			t.Errorf("got %q", got)
		}
	}
}

// TestFlask_lifetimeRunsFromTheLastWrite: as in Flask, every write begins it anew.
func TestFlask_lifetimeRunsFromTheLastWrite(t *testing.T) {
	v := newFlaskVisitor(t)
	const day = 24 * time.Hour
	w := v.with(apptest.SignFlask(apptest.Secret, `{"_permanent":true,"b":1}`, time.Now().Add(-10*day)), func(s *ginsession.Session) {
		before := time.Until(s.ExpiresAt()).Round(time.Hour)
		if got := time.Since(s.CreatedAt()).Round(time.Hour); got != 10*day {
			t.Errorf("created %v ago, want the 10 days since the last write", got)
		}
		s.Set("a", 1)
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
		if after := time.Until(s.ExpiresAt()).Round(time.Hour); before != 21*day || after != 31*day {
			t.Errorf("got %v to go before a write and %v after it, want 21 and 31 days", before, after)
		}
	})
	if line := w.Header().Get("Set-Cookie"); !strings.HasSuffix(line, "; Max-Age=2678400") {
		t.Errorf("got %q", line)
	}
}

// TestFlask_times: a time has whole seconds from the first, and setting it again
// is no change.
func TestFlask_times(t *testing.T) {
	v := newFlaskVisitor(t)
	when := time.Date(2024, 2, 29, 12, 34, 56, 789, time.FixedZone("", -3600))
	w := v.with("", func(s *ginsession.Session) {
		s.Set("time", when)
		if got := s.GetTime("time"); !got.Equal(when.Truncate(time.Second)) {
			t.Errorf("in the same request: got %v", got)
		}
	})
	if w = v.with(cookieOf(w), func(s *ginsession.Session) { s.Set("time", when) }); cookieOf(w) != "" {
		t.Error("the same time once more: the session is written")
	}
}

func TestFlask_Commit_emptied(t *testing.T) {
	v := newFlaskVisitor(t, ginsession.WithInsecureCookie())
	for _, do := range []string{"delete:a,flashes", "flashes,delete:a", "clear", "destroy"} {
		got := v.send("/?do="+do, `{"_flashes":[{" t":["message","Bye"]}],"a":1}`).Header()["Set-Cookie"]
		want := []string{"session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", do, got, want)
		}
	}
}

// TestFlask_permanent_sentAgain: as Flask's, a permanent session is sent with
// every response.
func TestFlask_permanent_sentAgain(t *testing.T) {
	v := newFlaskVisitor(t)
	for _, row := range []struct {
		json, do string
		sent     bool
		vary     string
	}{
		{`{"_permanent":true,"a":{" t":[1,2.0]}}`, "", true, "Cookie"},
		{`{"_permanent":true,"a":{" t":[1,2.0]}}`, "get:a", true, "Cookie"},
		{`{"_permanent":true,"a":"` + strings.Repeat("b", 20<<10) + `"}`, "", true, "Cookie"},
		{`{"_permanent":false,"a":1}`, "", false, ""},
		{`{"_permanent":false,"a":1}`, "get:a", false, "Cookie"},
		{`{"a":1}`, "", false, ""},
		{`{"a":1}`, "get:a", false, "Cookie"},
	} {
		w := v.send("/?do="+row.do, row.json)
		lines := w.SetCookies("session")
		if len(lines) > 1 || len(lines) == 1 != row.sent || w.Header().Get("Vary") != row.vary {
			t.Errorf("%s: got %v", row.json, w.Header())
		}
		if row.sent && (!strings.HasSuffix(lines[0], "; Max-Age=2678400") || v.json(w) != row.json) {
			t.Errorf("%s: got %s in %q", row.json, v.json(w), lines)
		}
	}
}

// TestFlask_permanent_behindAProxy: a response of Flask that a proxy passes on
// carries the newer session.
func TestFlask_permanent_behindAProxy(t *testing.T) {
	a := apptest.New(t, ginsession.WithFlaskCookie())
	a.NoRoute(func(c *gin.Context) {
		c.Writer.Header().Add("Set-Cookie", "other=1; Path=/")
		if c.Request.URL.Path == "/changed" {
			c.Writer.Header().Add("Set-Cookie", "session=of Flask; Path=/")
		}
		c.String(http.StatusOK, "x")
	})
	old := apptest.SignFlask(apptest.Secret, `{"_permanent":true,"a":1}`, time.Now())
	if got := send(a, "/changed", old).Header()["Set-Cookie"]; !slices.Equal(got, []string{"other=1; Path=/", "session=of Flask; Path=/"}) {
		t.Errorf("changed by Flask: got %q", got)
	}
	if got := send(a, "/unchanged", old).Header()["Set-Cookie"]; len(got) != 2 || !strings.HasPrefix(got[1], "session=") {
		t.Errorf("without a change: got %q", got)
	}
}

// TestFlask_permanent_asItCame: what Python put under _permanent stays, unless the
// app decides otherwise.
func TestFlask_permanent_asItCame(t *testing.T) {
	v := newFlaskVisitor(t)
	for _, row := range []struct {
		came               string
		permanent          bool
		kept, ifSet, ifNot string
	}{
		{"true", true, "true", "true", "false"},
		{"false", false, "false", "true", "false"},
		{"1", true, "1", "1", "false"},
		{`"yes"`, true, `"yes"`, `"yes"`, "false"},
		{"null", false, "null", "true", "null"},
		{`{" t":[]}`, false, `{" t":[]}`, "true", `{" t":[]}`},
	} {
		for do, want := range map[string]string{"": row.kept, "permanent:true,": row.ifSet, "permanent:false,": row.ifNot, "clear,": "", "destroy,": ""} {
			if want != "" {
				want = `"_permanent":` + want + ","
			}
			w := v.send("/?do="+do+"set:a=2", `{"_permanent":`+row.came+`,"a":1}`)
			if got, want := v.json(w), "{"+want+`"a":"2"}`; got != want {
				t.Errorf("%s, %s: got %s, want %s", row.came, do, got, want)
			}
		}
		v.signed(`{"_permanent":`+row.came+`,"a":1}`, func(s *ginsession.Session) {
			if s.Permanent() != row.permanent {
				t.Errorf("%s: Permanent is %t", row.came, s.Permanent())
			}
		})
	}
}

func TestFlask_Commit_refuses(t *testing.T) {
	v := newFlaskVisitor(t)
	noise := make([]byte, 4000) // does not compress
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	for _, row := range []struct {
		name string
		fn   func(*ginsession.Session)
		want error
	}{
		{"NaN", func(s *ginsession.Session) { s.Set("a", math.NaN()) }, ginsession.ErrValue},
		{"key", func(s *ginsession.Session) { s.Set("\xed\xa0\x80", 1) }, ginsession.ErrValue},
		{"reserved key", func(s *ginsession.Session) { s.Set("_flashes", 1) }, ginsession.ErrValue},
		{"category", func(s *ginsession.Session) { s.AddFlash("a", "\xff") }, ginsession.ErrValue},
		{"large", func(s *ginsession.Session) { s.Set("a", noise) }, ginsession.ErrTooLarge},
		{"large, and compresses well", func(s *ginsession.Session) { s.Set("a", strings.Repeat("a", 64<<10)) }, ginsession.ErrTooLarge},
	} {
		if w := v.with("", row.fn); w.Code != http.StatusInternalServerError || cookieOf(w) != "" || len(w.Errors) != 1 || !errors.Is(w.Errors[0], row.want) {
			t.Errorf("%s: got %d and %v, want 500 and %v", row.name, w.Code, w.Errors, row.want)
		}
	}
}

// TestFlask_manyFlashes: reading many flashes takes as long as parsing them, and
// no longer.
func TestFlask_manyFlashes(t *testing.T) {
	v := newFlaskVisitor(t)
	const count = 2_500 // all that fits
	text := `{"_flashes":[` + strings.TrimSuffix(strings.Repeat(`{" t":["message","x"]},`, count), ",") + `]}`
	cookie := apptest.SignFlask(apptest.Secret, text, time.Now())
	took := func(fn func(*ginsession.Session)) time.Duration {
		best := time.Hour
		for range 3 {
			start := time.Now()
			v.with(cookie, fn)
			best = min(best, time.Since(start))
		}
		return best
	}
	n := 0
	parse, read := took(func(s *ginsession.Session) { s.Len() }), took(func(s *ginsession.Session) { n = len(s.Flashes()) })
	if n != count || read > 6*parse {
		t.Errorf("%d flashes took %v, parsing them %v", n, read, parse)
	}
}

// noWriter takes a response and allocates nothing.
type noWriter struct{ header http.Header }

func (w noWriter) Header() http.Header         { return w.header }
func (w noWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w noWriter) WriteHeader(int)             {}

// flaskShapes are what a request does to the session that all measurements are
// made with, and how often it allocates for that.
var flaskShapes = []struct {
	name        string
	do          func(*ginsession.Session)
	allocations float64
}{
	{"untouched", func(*ginsession.Session) {}, 3},
	{"read", func(s *ginsession.Session) { _, _ = s.GetInt64("user_id"), s.GetString("name") }, 7},
	{"write", func(s *ginsession.Session) { s.Set("count", s.GetInt("count")+1) }, 8},
	{"add a flash", func(s *ginsession.Session) { s.AddFlash("Saved", "success") }, 10},
	{"take the flash", func(s *ginsession.Session) { s.Flashes() }, 10},
}

// flaskRequest returns a function that runs one request.
func flaskRequest(t testing.TB, do func(*ginsession.Session)) (run func()) {
	t.Helper()
	app := apptest.New(t, ginsession.WithFlaskCookie())
	app.GET("/fill", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("user_id", int64(12345678))
		s.Set("name", "Ada Lovelace")
		s.Set("roles", []string{"admin", "editor", "author"})
		s.Set("token", []byte("0123456789abcdef0123456789abcdef"))
		s.Set("count", 7)
		s.AddFlash("Welcome back, Ada", "success")
	})
	body := []byte("body")
	app.GET("/request", func(c *gin.Context) {
		do(ginsession.From(c))
		_, _ = c.Writer.Write(body)
	})
	r := httptest.NewRequest(http.MethodGet, "/request", nil)
	r.Header.Set("Cookie", apptest.NewBrowser(app).Get("/fill").Header().Get("Set-Cookie"))
	w := noWriter{http.Header{}}
	return func() {
		clear(w.header)
		app.ServeHTTP(w, r)
	}
}

// TestFlask_allocations is exact, but not under the race detector, which drops
// pooled memory at random.
func TestFlask_allocations(t *testing.T) {
	if info, _ := debug.ReadBuildInfo(); slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector drops pooled memory at random")
	}
	for _, row := range flaskShapes {
		if got := testing.AllocsPerRun(1000, flaskRequest(t, row.do)); got != row.allocations {
			t.Errorf("%s: got %v allocations, want %v", row.name, got, row.allocations)
		}
	}
}

func BenchmarkFlask(b *testing.B) {
	for _, row := range flaskShapes {
		b.Run(row.name, func(b *testing.B) {
			run := flaskRequest(b, row.do)
			for b.Loop() {
				run()
			}
		})
	}
}
