package sessionlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/journal"
	"github.com/ginsession/ginsession/internal/seal"
	"github.com/ginsession/ginsession/internal/sessionlog"
	"github.com/ginsession/ginsession/internal/txn"
)

const cookieName = "__Host-session"

// newSite returns an app that logs to what lines returns: without times, with
// every number of bytes as N, and every duration as 1ms.
func newSite(t *testing.T, opts ...ginsession.Option) (a *apptest.App, b *apptest.Browser, lines func() []string) {
	t.Helper()
	var out bytes.Buffer
	tidy := func(_ []string, a slog.Attr) slog.Attr {
		switch {
		case a.Key == slog.TimeKey:
			return slog.Attr{}
		case a.Value.Kind() == slog.KindDuration:
			return slog.Duration(a.Key, time.Millisecond)
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: tidy}))
	a = apptest.New(t, append(opts, ginsession.WithLogger(logger))...)
	return a, apptest.NewBrowser(a), func() []string {
		defer out.Reset()
		tidied := regexp.MustCompile(`(bytes=|has |than )\d+`).ReplaceAllString(out.String(), "${1}N")
		return slices.DeleteFunc(strings.Split(tidied, "\n"), func(line string) bool { return line == "" })
	}
}

// wantLines fails unless each line contains its text, in any order of the lines.
func wantLines(t *testing.T, name string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	if !slices.EqualFunc(got, want, strings.Contains) {
		t.Errorf("%s: got %q, want lines with %q", name, got, want)
	}
}

func TestWrite(t *testing.T) {
	const changed = `level=INFO msg="session changed" cookie=__Host-session request="GET /" `
	const tooLarge = `level=ERROR msg="session not saved" cookie=__Host-session request="GET /" error="ginsession: the session is too large to store: ` +
		`its Set-Cookie line has N bytes, and browsers need take no more than N; keep less in it" keys=[c]`
	rows := []struct{ do, want string }{
		{"", ""},
		{"keys", ""},
		{"set:a=1", ""}, // as it is
		{"set:c=1,delete:a", changed + `keys="[a c]" bytes=N`},
		{"incr:n", changed + `keys=[n] bytes=N`},
		{"flashes,flash:x,flash:y", changed + `flashes_added=2 flashes_taken=1 bytes=N`},
		{"renew,permanent:true", changed + `did="[renewed permanent]" bytes=N`},
		{"renew,save,renew", changed + `did=[renewed] bytes=N`},
		{"clear,set:c=1", changed + `did="[cleared permanent]" keys=[c] bytes=N`},
		{"destroy", changed + `did=[destroyed] bytes=N`},
		{"set:c=1,save,set:c=2,set:d=1", changed + `keys="[c d]" bytes=N`},
		{"set:c=" + strings.Repeat("x", 5000), tooLarge},
	}
	for _, row := range rows {
		_, b, lines := newSite(t)
		b.Get("/?do=set:b=value,set:a=1,flash:message")
		wantLines(t, "log-in", lines(), changed+`keys="[a b]" flashes_added=1 bytes=N`)
		b.Get("/?do=" + row.do)
		if got := strings.Join(lines(), "\n"); got != row.want {
			t.Errorf("%.40s:\ngot  %s\nwant %s", row.do, got, row.want)
		}
	}
	_, b, lines := newSite(t, ginsession.WithStore(apptest.NewStore()))
	b.Get("/?do=set:a=1")
	wantLines(t, "store", lines(), changed+"keys=[a] bytes=N store=1ms")
}

func TestWrite_manyKeys(t *testing.T) {
	keys := make([]string, 102)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%03d", i)
	}
	trace := &txn.Trace{Saved: []txn.Changes{{Summary: journal.Summary{Keys: keys}}}, Dropped: 3}
	var out bytes.Buffer
	sessionlog.Write(context.Background(), slog.New(slog.NewTextHandler(&out, nil)), &sessionlog.Entry{Trace: trace})
	if got := out.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "k099]\" more_keys=2 flashes_dropped=3") || strings.Contains(got, "k100") {
		t.Errorf("got %s, want a warning with 100 keys, 2 more and 3 flashes dropped", got)
	}
}

// TestWrite_keepsTheTrace has room behind the saved changes, where a goroutine
// that outlives the request appends its own without waiting for the log.
func TestWrite_keepsTheTrace(t *testing.T) {
	saved := make([]txn.Changes, 2)
	trace := &txn.Trace{
		Saved:   saved[:1],
		Failed:  errors.New("not saved"),
		Unsaved: txn.Changes{Summary: journal.Summary{Keys: []string{"a"}}},
	}
	sessionlog.Write(context.Background(), slog.New(slog.DiscardHandler), &sessionlog.Entry{Trace: trace})
	if got := saved[1].Keys; got != nil {
		t.Errorf("got %q behind the saved changes, want nothing", got)
	}
}

// TestWrite_outcome: there is no line if nothing was stored, and the last outcome
// counts.
func TestWrite_outcome(t *testing.T) {
	save := func(s *ginsession.Session) { _ = s.Save() }
	rows := []struct {
		name string
		do   func(*ginsession.Session)
		want []string
	}{
		{"destroy nothing", (*ginsession.Session).Destroy, nil},
		{"renew nothing", (*ginsession.Session).Renew, nil},
		{"permanent nothing", func(s *ginsession.Session) { s.SetPermanent(true) }, nil},
		{"set and delete", func(s *ginsession.Session) { s.Set("a", 1); s.Delete("a") }, nil},
		{"saved in the end", func(s *ginsession.Session) { s.Set("draft", func() {}); save(s); s.Set("note", 1) }, []string{`msg="session changed"`}},
		{"never saved", func(s *ginsession.Session) { s.Set("draft", func() {}); save(s) }, []string{`msg="session not saved"`}},
		{"a value", func(s *ginsession.Session) { s.Set("n", struct{ N json.Number }{"hunter2"}) }, []string{`a method of the type, refuses it`}},
		{"another value", func(s *ginsession.Session) { s.Set("n", json.Number("hunter2")) }, []string{`msg="session not saved"`}},
		{"saved, then a panic", func(s *ginsession.Session) { s.Set("a", 1); save(s); panic("x") }, []string{"keys=[a]"}},
	}
	for _, row := range rows {
		for name, where := range map[string]ginsession.Option{"cookie": ginsession.WithPath("/"), "store": ginsession.WithStore(apptest.NewStore())} {
			a, b, lines := newSite(t, where)
			func() {
				defer func() { _ = recover() }()
				a.Play(b, func(c *gin.Context) { row.do(ginsession.From(c)) })
			}()
			got := lines()
			wantLines(t, row.name+", "+name, got, row.want...)
			if strings.Contains(strings.Join(got, ""), "hunter2") {
				t.Errorf("%s, %s: got %q, which shows a value", row.name, name, got)
			}
		}
	}
}

// TestWrite_store: what another request, or the store, does to a session while
// a request uses it.
func TestWrite_store(t *testing.T) {
	fails := func(s *apptest.Store, _ *apptest.Browser) {
		s.Hook(func(apptest.Call) apptest.Fault { return apptest.Fault{Before: apptest.ErrStore} })
	}
	logOut := func(_ *apptest.Store, b *apptest.Browser) { b.Get("/?do=destroy") }
	rows := []struct {
		name, do  string
		meanwhile func(*apptest.Store, *apptest.Browser)
		want      string
	}{
		{"logged out at the commit", "keys,meanwhile,set:b=1", logOut, `level=INFO msg="session ended"`},
		{"logged out before the load", "meanwhile,keys", logOut, "it was renewed or destroyed"},
		{"a save fails", "keys,meanwhile,set:b=1", fails, `level=ERROR msg="session unavailable"`},
		{"a load fails", "meanwhile,keys", fails, `level=ERROR msg="session unavailable"`},
	}
	for _, row := range rows {
		store := apptest.NewStore()
		a, b, lines := newSite(t, ginsession.WithStore(store))
		b.Get("/?do=set:a=1")
		other := b.Clone()
		a.Meanwhile = func() { row.meanwhile(store, other); lines() }
		lines()
		b.Get("/?do=" + row.do)
		wantLines(t, row.name, lines(), row.want)
	}
}

// TestWrite_handleContext: what the first pass has not saved is lost, and the log
// says so.
func TestWrite_handleContext(t *testing.T) {
	_, b, lines := newSite(t)
	b.Get("/?do=set:first=1,handle:/then&then=set:second=1")
	got := lines()
	wantLines(t, "messages", got, `msg="session not saved"`, `msg="session changed"`)
	wantLines(t, "keys", got, "keys=[first]", "keys=[second]")
}

func TestWrite_route(t *testing.T) {
	a, _, lines := newSite(t)
	set := func(c *gin.Context) { ginsession.From(c).Set("a", 1) }
	a.NoRoute(set)
	a.GET("/page/:id", set)
	for path, want := range map[string]string{"/nowhere?token=1": `"GET (no route)"`, "/page/of-a-user?token=1": `"GET /page/:id"`} {
		apptest.NewBrowser(a).Get(path)
		wantLines(t, path, lines(), "request="+want)
	}
}

// TestWrite_refresh: an idle-timeout refresh changes nothing in a session.
func TestWrite_refresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, lines := newSite(t, ginsession.WithIdleTimeout(time.Hour))
		b.Get("/?do=set:a=1")
		lines()
		time.Sleep(30 * time.Minute)
		if w, got := b.Get("/?do=keys"), lines(); len(w.SetCookies(cookieName)) != 1 || len(got) > 0 {
			t.Errorf("got %d cookies and %q, want one and no line", len(w.SetCookies(cookieName)), got)
		}
	})
}

// TestWrite_refused: the reason names the check, and the one that says most wins.
func TestWrite_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		value := func(secret string, opts ...ginsession.Option) string {
			b := apptest.NewBrowser(apptest.Mount(apptest.Middleware(t, secret, opts...)))
			return b.Get("/?do=set:a=1").Result().Cookies()[0].Value
		}
		good, expired := value(apptest.Secret), value(apptest.Secret, ginsession.WithLifetime(time.Hour))
		time.Sleep(time.Hour)
		server := value(apptest.Secret, ginsession.WithStore(apptest.NewStore()))
		sealer, err := seal.New("ginsession cookie 1", apptest.Secret)
		if err != nil {
			t.Fatal(err)
		}
		noContainer := sealer.Seal(nil, []byte("no container"), []byte("ginsession cookie 1\x00"+cookieName))
		rows := []struct {
			value string
			opts  []ginsession.Option
			why   string
		}{
			{"a b", nil, "malformed"},
			{strings.Repeat("a", 5000), nil, "malformed"},
			{good + "=", nil, "malformed"},
			{good[:len(good)-4] + "AAAA", nil, "no secret opens it"},
			{value(apptest.Secret + "!"), nil, "no secret opens it"},
			{server, nil, "no secret opens it"},
			{string(seal.AppendText(nil, noContainer)), nil, "holds no session"},
			{expired, nil, "expired"},
			{expired + "; " + cookieName + "=x", nil, "expired"},
			{server, []ginsession.Option{ginsession.WithStore(apptest.NewStore())}, "evicted, expired, or lost"},
			{"x; " + cookieName + "=" + good, nil, ""}, // accepted at last
		}
		for _, row := range rows {
			a, _, lines := newSite(t, row.opts...)
			req := httptest.NewRequest(http.MethodGet, "/?do=keys", nil)
			req.Header.Set("Cookie", cookieName+"="+row.value)
			a.ServeHTTP(httptest.NewRecorder(), req)
			got, want := lines(), []string{row.why}
			if row.why == "" {
				want = nil
			}
			wantLines(t, "the reason", got, want...)
			for _, line := range got {
				if !strings.HasPrefix(line, `level=WARN msg="session refused" cookie=__Host-session request="GET /" why="ginsession: `) {
					t.Errorf("got %q, want a warning with the reason", line)
				}
			}
		}
	})
}

// TestWrite_secrets: no value, message, id or secret is in any line.
func TestWrite_secrets(t *testing.T) {
	a, b, lines := newSite(t, ginsession.WithStore(apptest.NewStore()))
	value := b.Get("/?do=set:user=the-value,flash:the-message").Result().Cookies()[0].Value
	old := b.Clone()
	b.Get("/?do=renew")
	id := a.Session.ID()
	a.Play(old, func(c *gin.Context) { ginsession.From(c).Set("user", func() {}) })
	all := strings.Join(lines(), "\n")
	if strings.Count(all, "\n") < 2 {
		t.Fatalf("got %s, want at least three lines", all)
	}
	for _, hidden := range []string{"the-value", "the-message", apptest.Secret, id, value} {
		if hidden == "" || strings.Contains(all, hidden) {
			t.Errorf("got %s, which shows %q", all, hidden)
		}
	}
}

// sessionReader is a log handler that reads the session of the request, as one
// that adds the user to each line does.
type sessionReader struct {
	slog.Handler
	session **ginsession.Session
}

func (l sessionReader) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.String("user", (*l.session).GetString("user")))
	return l.Handler.Handle(ctx, r)
}

// TestWrite_loggerReadsTheSession: the session is not locked while the logger
// runs, be it for a change or for the warning of plain http.
func TestWrite_loggerReadsTheSession(t *testing.T) {
	mode := gin.Mode()
	defer gin.SetMode(mode)
	var out bytes.Buffer
	var session *ginsession.Session
	logger := slog.New(sessionReader{slog.NewTextHandler(&out, nil), &session})
	a := apptest.Mount(func(*gin.Context) { gin.SetMode(gin.DebugMode) }, apptest.Middleware(t, apptest.Secret, ginsession.WithLogger(logger)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Play(apptest.NewBrowser(a), func(c *gin.Context) { session = ginsession.From(c); session.Set("user", "ann") })
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the logger waits for the session for ever")
	}
	if got := out.String(); strings.Count(got, "user=ann") != 2 || !strings.Contains(got, "plain http") {
		t.Errorf("got %s, want two lines with the user", got)
	}
}
