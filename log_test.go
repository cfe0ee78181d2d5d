package ginsession_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memstore"
)

// logTo returns an option that logs to what lines returns: without times, and
// with every duration as "1ms".
func logTo() (opt ginsession.Option, lines func() []string) {
	var b bytes.Buffer
	tidy := func(_ []string, a slog.Attr) slog.Attr {
		switch {
		case a.Key == slog.TimeKey:
			return slog.Attr{}
		case a.Value.Kind() == slog.KindDuration:
			return slog.Duration(a.Key, time.Millisecond)
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: tidy}))
	return ginsession.WithLogger(logger), func() []string {
		defer b.Reset()
		return slices.DeleteFunc(strings.Split(b.String(), "\n"), func(line string) bool { return line == "" })
	}
}

func TestLog(t *testing.T) {
	const head = `cookie=__Host-session request="GET /" `
	fill := func(s *ginsession.Session) {
		s.Set("b", "a value")
		s.Set("a", 1)
		s.AddFlash("a message", "")
	}
	rows := []struct {
		name string
		do   func(*ginsession.Session)
		want string
	}{
		{"nothing", func(*ginsession.Session) {}, ""},
		{"read", func(s *ginsession.Session) { s.Keys() }, ""},
		{"the same again", func(s *ginsession.Session) { s.Set("a", 1) }, ""},
		{"set and delete", func(s *ginsession.Session) { s.Set("c", 1); s.Delete("a") }, `level=INFO msg="session changed" ` + head + `keys="[a c]" bytes=N`},
		{"update", func(s *ginsession.Session) { ginsession.Update(s, "a", func(n int) int { return n + 1 }) }, `level=INFO msg="session changed" ` + head + `keys=[a] bytes=N`},
		{"flashes", func(s *ginsession.Session) { s.Flashes(); s.AddFlash("x", ""); s.AddFlash("y", "") }, `level=INFO msg="session changed" ` + head + `flashes_added=2 flashes_taken=1 bytes=N`},
		{"renewed", func(s *ginsession.Session) { s.Renew(); s.SetPermanent(true) }, `level=INFO msg="session changed" ` + head + `did="[renewed permanent]" bytes=N`},
		{"cleared", func(s *ginsession.Session) { s.Clear(); s.Set("c", 1) }, `level=INFO msg="session changed" ` + head + `did="[cleared permanent]" keys=[c] bytes=N`},
		{"destroyed", (*ginsession.Session).Destroy, `level=INFO msg="session changed" ` + head + `did=[destroyed] bytes=N`},
		{"saved twice", func(s *ginsession.Session) { s.Set("c", 1); _ = s.Save(); s.Set("c", 2); s.Set("d", 1) }, `level=INFO msg="session changed" ` + head + `keys="[c d]" bytes=N`},
		{"not saved", func(s *ginsession.Session) { s.Set("c", strings.Repeat("x", 5000)) }, `level=ERROR msg="session not saved" ` + head + `error="ginsession: the session is too large to store: ` +
			`its Set-Cookie line has N bytes, and browsers need take no more than N; keep less in it" keys=[c]`},
	}
	for _, row := range rows {
		opt, lines := logTo()
		h := mustNew(t, secret, opt)
		k := with(t, h, nil, fill).Result().Cookies()
		if first := lines(); len(first) != 1 || !strings.Contains(first[0], `keys="[a b]" flashes_added=1`) {
			t.Fatalf("log-in: got %q", first)
		}
		with(t, h, k, row.do)
		got := regexp.MustCompile(`(bytes=|has |than )\d+`).ReplaceAllString(strings.Join(lines(), "\n"), "${1}N")
		if got != row.want {
			t.Errorf("%s:\ngot  %s\nwant %s", row.name, got, row.want)
		}
	}
}

func TestLog_server(t *testing.T) {
	opt, lines := logTo()
	h := mustNew(t, secret, opt, ginsession.WithStore(memstore.New()))
	with(t, h, nil, func(s *ginsession.Session) { s.Set("a", 1) })
	want := regexp.MustCompile(`^level=INFO msg="session changed" cookie=__Host-session request="GET /" keys=\[a\] bytes=\d+ store=1ms$`)
	if got := lines(); len(got) != 1 || !want.MatchString(got[0]) {
		t.Errorf("got %q, want one line like %s", got, want)
	}
}

// TestLog_truth: no line where nothing was stored, and the last outcome counts.
func TestLog_truth(t *testing.T) {
	rows := []struct {
		name string
		do   func(*ginsession.Session)
		want string // in the one line, or "" for none
	}{
		{"destroy nothing", (*ginsession.Session).Destroy, ""},
		{"renew nothing", (*ginsession.Session).Renew, ""},
		{"permanent nothing", func(s *ginsession.Session) { s.SetPermanent(true) }, ""},
		{"set and delete", func(s *ginsession.Session) { s.Set("a", 1); s.Delete("a") }, ""},
		{"saved in the end", func(s *ginsession.Session) {
			s.Set("draft", func() {})
			_ = s.Save()
			s.Set("note", 1)
		}, `msg="session changed"`},
		{"never saved", func(s *ginsession.Session) {
			s.Set("draft", func() {})
			_ = s.Save()
		}, `msg="session not saved"`},
		{"a value in the words of encoding/json", func(s *ginsession.Session) {
			s.Set("n", struct{ N json.Number }{"hunter2"})
		}, `encoding/json, or a method of the type, refuses it`},
	}
	for _, row := range rows {
		for name, where := range map[string]ginsession.Option{"cookie": ginsession.WithPath("/"), "store": ginsession.WithStore(memstore.New())} {
			opt, lines := logTo()
			with(t, mustNew(t, secret, opt, where), nil, row.do)
			got := lines()
			if row.want == "" && len(got) > 0 || row.want != "" && (len(got) != 1 || !strings.Contains(got[0], row.want)) {
				t.Errorf("%s, %s: got %q, want %q", row.name, name, got, row.want)
			}
			if strings.Contains(strings.Join(got, ""), "hunter2") {
				t.Errorf("the log shows a value: %q", got)
			}
		}
	}
}

func TestLog_acceptedAtLast(t *testing.T) {
	opt, lines := logTo()
	h := mustNew(t, secret, opt)
	k := cookieOf(t, h, "ann")
	lines()
	look(t, h, &http.Cookie{Name: k.Name, Value: "forged"}, k)
	if got := lines(); len(got) > 0 {
		t.Errorf("the second cookie was accepted: got %q, want no line", got)
	}
}

func TestLog_over(t *testing.T) {
	opt, lines := logTo()
	m := newMeeting(t, ginsession.WithStore(memstore.New()), opt)
	lines()
	m.slow(t, setting("mine"), visit("/logout"))
	if got := lines(); len(got) != 2 || !strings.HasPrefix(got[1], `level=INFO msg="session ended"`) {
		t.Errorf("got %q, want the log-out and that the session was over", got)
	}
}

func TestLog_unavailable(t *testing.T) {
	opt, lines := logTo()
	k := cookieOf(t, mustNew(t, secret, ginsession.WithStore(memstore.New())), "ann")
	look(t, mustNew(t, secret, ginsession.WithStore(silent{}), opt), k)
	if got := lines(); len(got) != 1 || !strings.HasPrefix(got[0], `level=ERROR msg="session unavailable"`) {
		t.Errorf("got %q, want one line", got)
	}
}

func TestLog_panicAfterSave(t *testing.T) {
	opt, lines := logTo()
	r := gin.New()
	r.Use(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }), mustNew(t, secret, opt))
	r.GET("/", func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("a", 1)
		_ = s.Save()
		panic("after that")
	})
	do(t, r, http.MethodGet, "/")
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "keys=[a]") {
		t.Errorf("got %q, want what Save has saved", got)
	}
}

// whoHandler adds the user's name to each line, as an app's logger may.
type whoHandler struct {
	slog.Handler
	s *ginsession.Session
}

func (h *whoHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.String("who", h.s.GetString("who")))
	return h.Handler.Handle(ctx, r)
}

// TestLog_usesTheSession: the session is not locked while the logger runs.
func TestLog_usesTheSession(t *testing.T) {
	var b bytes.Buffer
	h := &whoHandler{Handler: slog.NewTextHandler(&b, nil)}
	with(t, mustNew(t, secret, ginsession.WithLogger(slog.New(h))), nil, func(s *ginsession.Session) {
		h.s = s
		s.Set("who", "ann")
	})
	if !strings.Contains(b.String(), "who=ann") {
		t.Errorf("got %q", b.String())
	}
}

// TestLog_signOfLife: to note that a session is in use changes nothing in it.
func TestLog_signOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt, lines := logTo()
		h := mustNew(t, secret, opt, ginsession.WithIdleTimeout(time.Hour))
		k := cookieOf(t, h, "ann")
		lines()
		time.Sleep(30 * time.Minute)
		w := with(t, h, []*http.Cookie{k}, func(s *ginsession.Session) { s.Keys() })
		if got := lines(); len(setCookies(w)) != 1 || len(got) > 0 {
			t.Errorf("got %d cookies and %q, want one and no line", len(setCookies(w)), got)
		}
	})
}

// TestLog_refused: the reason names the check, and the one that says most wins.
func TestLog_refused(t *testing.T) { synctest.Test(t, testLogRefused) }

func testLogRefused(t *testing.T) {
	good := cookieOf(t, mustNew(t, secret), "ann").Value
	expired := cookieOf(t, mustNew(t, secret, ginsession.WithLifetime(time.Hour)), "ann").Value
	time.Sleep(time.Hour) // on the test's own clock
	server := cookieOf(t, mustNew(t, secret, ginsession.WithStore(memstore.New())), "ann").Value
	const name = "__Host-session"
	rows := []struct{ value, why string }{
		{"a b", "malformed"},
		{strings.Repeat("a", 5000), "malformed"},
		{good + "=", "malformed"},
		{good[:len(good)-4] + "AAAA", "no secret opens it"},
		{cookieOf(t, mustNew(t, otherSecret), "ann").Value, "no secret opens it"},
		{server, "no secret opens it"},
		{ginsession.SealCookie(secret, name, "no container"), "holds no session"},
		{expired, "expired"},
		{expired + "; " + name + "=x", "expired"},
	}
	for _, row := range rows {
		opt, lines := logTo()
		h := mustNew(t, secret, opt)
		r := gin.New()
		r.Use(h)
		r.GET("/page/:secret", func(c *gin.Context) { ginsession.From(c).Keys() })
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/page/of-a-user?token=1", nil)
		req.Header.Set("Cookie", name+"="+row.value)
		r.ServeHTTP(httptest.NewRecorder(), req)
		got := lines()
		if len(got) != 1 || !strings.HasPrefix(got[0], `level=WARN msg="session refused" cookie=`+name+` request="GET /page/:secret" why="ginsession: `) || !strings.Contains(got[0], row.why) {
			t.Errorf("%.20s: got %q, want a line that says %q", row.value, got, row.why)
		}
	}

	opt, lines := logTo()
	h := mustNew(t, secret, opt, ginsession.WithStore(memstore.New()))
	look(t, h, &http.Cookie{Name: name, Value: server})
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "evicted, expired, or lost") {
		t.Errorf("record gone: got %q", got)
	}
	k := cookieOf(t, h, "ann")
	with(t, h, []*http.Cookie{k}, (*ginsession.Session).Destroy)
	lines()
	look(t, h, k)
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "it was renewed or destroyed") {
		t.Errorf("ended: got %q", got)
	}
}

// TestLog_modes: without the option, only Gin's debug mode logs.
func TestLog_modes(t *testing.T) {
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	mode := gin.Mode()
	defer func() { slog.SetDefault(before); gin.SetMode(mode) }()
	opt, lines := logTo()
	for _, row := range []struct {
		mode       string
		opts       []ginsession.Option
		byDefault  bool
		explicitly int
	}{
		{gin.DebugMode, nil, true, 0},
		{gin.ReleaseMode, nil, false, 0},
		{gin.TestMode, nil, false, 0},
		{gin.DebugMode, []ginsession.Option{ginsession.WithLogger(nil)}, false, 0},
		{gin.ReleaseMode, []ginsession.Option{opt}, false, 1},
		{gin.DebugMode, []ginsession.Option{opt}, false, 1},
		{gin.DebugMode, []ginsession.Option{ginsession.WithLogger(nil), opt}, false, 1},
	} {
		b.Reset()
		gin.SetMode(gin.TestMode) // else gin prints its routes
		h := mustNew(t, secret, row.opts...)
		r := gin.New()
		r.Use(func(*gin.Context) { gin.SetMode(row.mode) }, h)
		r.GET("/", func(c *gin.Context) { ginsession.From(c).Set("a", 1) })
		do(t, r, http.MethodGet, "http://localhost/") // elsewhere, plain http is worth a line of its own
		if got := strings.Contains(b.String(), "session changed"); got != row.byDefault || len(lines()) != row.explicitly {
			t.Errorf("%s: got %t, want %t, and %d lines to the logger", row.mode, got, row.byDefault, row.explicitly)
		}
	}
}

// TestLog_keepsSecrets: no value, message, id or secret in any line.
func TestLog_keepsSecrets(t *testing.T) {
	opt, lines := logTo()
	h := mustNew(t, secret, opt, ginsession.WithStore(memstore.New()))
	w := with(t, h, nil, func(s *ginsession.Session) {
		s.Set("user", "the value")
		s.AddFlash("the message", "the category")
	})
	k := w.Result().Cookies()
	var id string
	with(t, h, k, func(s *ginsession.Session) { id = s.ID(); s.Renew() })
	with(t, h, k, func(s *ginsession.Session) { s.Set("user", func() {}) })
	all := strings.Join(lines(), "\n")
	if strings.Count(all, "\n") < 2 {
		t.Fatalf("got too few lines: %s", all)
	}
	for _, hidden := range []string{"the value", "the message", "the category", secret, id, k[0].Value} {
		if strings.Contains(all, hidden) {
			t.Errorf("the log shows %q: %s", hidden, all)
		}
	}
}

// A request that no route is for has a name all the same.
func TestLog_noRoute(t *testing.T) {
	opt, lines := logTo()
	r := newEngine(t, opt)
	r.NoRoute(set)
	do(t, r, http.MethodGet, "/nowhere")
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], `request="GET (no route)"`) {
		t.Errorf("got %q", got)
	}
}

// logReader is a log handler that reads the session of the request, as one that
// adds the user to each line does.
type logReader struct {
	slog.Handler
	session **ginsession.Session
}

func (l logReader) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.String("user", (*l.session).GetString("user")))
	return l.Handler.Handle(ctx, r)
}

// TestLog_plainHTTP: the warning comes once in debug mode, and the logger may
// read the session meanwhile.
func TestLog_plainHTTP(t *testing.T) {
	mode := gin.Mode()
	defer gin.SetMode(mode)
	for _, row := range []struct {
		mode, url string
		opts      []ginsession.Option
		want      int
	}{
		{gin.DebugMode, "http://app.example/", nil, 1},
		{gin.DebugMode, "http://localhost/", nil, 0},
		{gin.DebugMode, "http://[::1]:8080/", nil, 0},
		{gin.DebugMode, "https://app.example/", nil, 0},
		{gin.DebugMode, "http://app.example/", []ginsession.Option{ginsession.WithInsecureCookie()}, 0},
		{gin.ReleaseMode, "http://app.example/", nil, 0},
	} {
		gin.SetMode(gin.TestMode) // else gin prints its routes
		var b bytes.Buffer
		var session *ginsession.Session
		logger := slog.New(logReader{slog.NewTextHandler(&b, nil), &session})
		r := gin.New()
		r.Use(func(*gin.Context) { gin.SetMode(row.mode) }, mustNew(t, secret, append(row.opts, ginsession.WithLogger(logger))...))
		r.GET("/", func(c *gin.Context) {
			session = ginsession.From(c)
			session.Set("user", "ann")
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			do(t, r, http.MethodGet, row.url)
			do(t, r, http.MethodGet, row.url)
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s %s: the logger waits for the session for ever", row.mode, row.url)
		}
		if got := strings.Count(b.String(), "plain http"); got != row.want {
			t.Errorf("%s %s: got %d warnings, want %d", row.mode, row.url, got, row.want)
		}
	}
}
