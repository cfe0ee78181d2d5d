package ginsession_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/memcachedtest"
)

// TestWithMemcached goes through the life of a session, and looks at what a
// server is asked for each request.
func TestWithMemcached(t *testing.T) {
	server := memcachedtest.Start(t)
	proxy := memcachedtest.StartProxy(t, server.Addr)
	app := apptest.New(t, ginsession.WithMemcached(proxy.Addr), ginsession.WithKeyPrefix("app:"))
	b := apptest.NewBrowser(app)
	for _, row := range []struct{ do, verbs, body string }{
		{"write:untouched", "", "untouched"}, {"get:a", "", ""}, {"delete:a", "", ""}, {"destroy", "", ""}, // no cookie: nothing to ask for
		{"set:a=1", "add", ""}, {"write:untouched", "", "untouched"}, {"get:a", "gets", "1"},
		{"set:a=2", "gets cas", ""}, {"set:a=2", "gets", ""}, {"incr:n,save,incr:n,save,incr:n", "gets cas gets cas gets cas", ""}, {"keys", "gets", "a=2 n=3"},
		{"renew", "gets add cas", ""}, {"renew,incr:n,save,incr:n,save", "gets add cas gets cas", ""}, {"keys", "gets", "a=2 n=5"},
		{"write:x,flush,set:late=1,save,set:end=1", "gets cas gets cas", "x"}, {"keys", "gets", "a=2 end=1 late=1 n=5"},
		{"destroy,set:bye=1", "gets cas add", ""}, {"keys", "gets", "bye=1"},
		{"delete:bye", "gets cas", ""}, {"set:a=1", "add", ""}, {"get:a,destroy", "gets cas", "1"}, {"get:a", "", ""},
	} {
		w := b.Get("/?do=" + row.do)
		var verbs []string
		for _, line := range proxy.Asked() {
			verb, _, _ := strings.Cut(line, " ")
			verbs = append(verbs, verb)
		}
		if got := strings.Join(verbs, " "); got != row.verbs {
			t.Errorf("%s: asked %q, want %q", row.do, got, row.verbs)
		}
		if got := strings.Join(w.Lines(), " "); got != row.body || w.Code != http.StatusOK || w.Errors != nil {
			t.Errorf("%s: got %d %q and %v, want 200 %q", row.do, w.Code, got, w.Errors, row.body)
		}
	}
}

// TestWithMemcached_migration looks at what a server is asked for a session that
// comes in an encrypted cookie: nothing but to keep it.
func TestWithMemcached_migration(t *testing.T) {
	server := memcachedtest.Start(t)
	proxy := memcachedtest.StartProxy(t, server.Addr)
	b := apptest.NewBrowser(apptest.New(t))
	b.Get("/?do=set:user=ann")
	b.Handler = apptest.New(t, ginsession.WithMemcached(proxy.Addr), ginsession.WithCookieMigration(apptest.Secret))
	for _, row := range []struct{ do, verbs, body string }{
		{"write:untouched", "", "untouched"}, {"get:user", "add", "ann"}, {"get:user", "gets", "ann"},
		{"set:a=1", "gets cas", ""}, {"destroy", "gets cas", ""}, {"keys", "", ""},
	} {
		w := b.Get("/?do=" + row.do)
		var verbs []string
		for _, line := range proxy.Asked() {
			verb, _, _ := strings.Cut(line, " ")
			verbs = append(verbs, verb)
		}
		if got := strings.Join(verbs, " "); got != row.verbs || strings.Join(w.Lines(), " ") != row.body || w.Errors != nil {
			t.Errorf("%s: asked %q and got %q, %v, want %q and %q", row.do, got, w.Body, w.Errors, row.verbs, row.body)
		}
	}
}

// TestWithMemcached_id: the ID is the item's key without its prefix, and no
// credential.
func TestWithMemcached_id(t *testing.T) {
	server := memcachedtest.Start(t)
	app := apptest.New(t, ginsession.WithMemcached(server.Addr), ginsession.WithKeyPrefix("app:"))
	apptest.NewBrowser(app).Get("/?do=set:a=1")
	id := app.Session.ID()
	if len(id) != 43 || !slices.Equal(server.Keys(), []string{"app:" + id}) {
		t.Errorf("got ID %q; the server has %q", id, server.Keys())
	}
	req := httptest.NewRequest(http.MethodGet, "/?do=get:a", nil)
	req.AddCookie(&http.Cookie{Name: "__Host-session", Value: id})
	app.ServeHTTP(httptest.NewRecorder(), req)
	if err := app.Session.Rejected(); !errors.Is(err, ginsession.ErrInvalid) {
		t.Errorf("an ID as a cookie: got %v, want ErrInvalid", err)
	}
}

// TestWithMemcached_wrongRecord: a record that does not open, be it damaged or
// another session's, counts as a forged cookie. The session gets a new id, and
// the record is left alone.
func TestWithMemcached_wrongRecord(t *testing.T) {
	server := memcachedtest.Start(t)
	app := apptest.New(t, ginsession.WithMemcached(server.Addr))
	client := memcache.New(server.Addr)
	session := func() (b *apptest.Browser, item *memcache.Item) {
		b = apptest.NewBrowser(app)
		b.Get("/?do=set:a=1")
		item, err := client.Get("session:" + app.Session.ID())
		if err != nil {
			t.Fatal(err)
		}
		return b, item
	}
	_, other := session()
	for name, value := range map[string][]byte{"damaged": []byte("damaged"), "another session's": other.Value} {
		b, item := session()
		cookie := b.Cookies()[0].Value
		item.Value = value
		if err := client.Set(item); err != nil {
			t.Fatal(err)
		}
		got := b.Get("/?do=get:a").Lines()
		if err := app.Session.Rejected(); !errors.Is(err, ginsession.ErrInvalid) || got != nil {
			t.Errorf("%s: got %q, %v, want ErrInvalid", name, got, err)
		}
		if b.Get("/?do=set:b=2"); b.Cookies()[0].Value == cookie {
			t.Errorf("%s: the session kept its id", name)
		}
		if after, err := client.Get(item.Key); err != nil || !slices.Equal(after.Value, value) {
			t.Errorf("%s: the record was touched: %v", name, err)
		}
	}
}

// TestWithMemcached_previousSecrets: a write seals the cookie under the new
// secret, and a read does not.
func TestWithMemcached_previousSecrets(t *testing.T) {
	server := memcachedtest.Start(t)
	const next = "the next secret of the tests, long enough"
	store := ginsession.WithMemcached(server.Addr)
	b := apptest.NewBrowser(apptest.New(t, store))
	b.Get("/?do=set:a=1")
	b.Handler = apptest.Mount(apptest.Middleware(t, next, store, ginsession.WithPreviousSecrets(apptest.Secret)))
	for _, row := range []struct {
		do   string
		sent int
	}{{"get:a", 0}, {"set:b=2", 1}} {
		if lines := b.Get("/?do=" + row.do).SetCookies("__Host-session"); len(lines) != row.sent {
			t.Errorf("%s: got %q, want %d", row.do, lines, row.sent)
		}
	}
	b.Handler = apptest.Mount(apptest.Middleware(t, next, store))
	if got := b.Get("/?do=keys").Lines(); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("under the new secret alone: got %q", got)
	}
}

// TestWithMemcached_hangUp: a client that hangs up aborts neither the commit nor
// a load after the request, in a goroutine that has a copy of the context.
func TestWithMemcached_hangUp(t *testing.T) {
	app := apptest.New(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	var hangUp func()
	var copied *gin.Context
	app.GET("/commit", func(c *gin.Context) { ginsession.From(c).Set("b", "2"); hangUp() })
	app.GET("/copy", func(c *gin.Context) { copied = c.Copy(); hangUp() })
	b := apptest.NewBrowser(app)
	b.Get("/?do=set:a=1")
	for _, path := range []string{"/commit", "/copy"} {
		ctx, cancel := context.WithCancel(t.Context())
		hangUp = cancel
		b.Do(httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	}
	s := ginsession.From(copied)
	if got := s.GetString("b"); got != "2" || s.Err() != nil {
		t.Errorf("got %q, %v, want what was committed", got, s.Err())
	}
	s.Set("c", "3")
	if err := s.Save(); err != nil {
		t.Error(err)
	}
	if got := b.Get("/?do=keys").Lines(); !slices.Equal(got, []string{"a=1", "b=2", "c=3"}) {
		t.Errorf("got %q", got)
	}
}

// TestWithMemcached_down: a damaged exchange is an outage and not an anonymous
// visitor, and neither is a server that is gone.
func TestWithMemcached_down(t *testing.T) {
	server := memcachedtest.Start(t)
	proxy := memcachedtest.StartProxy(t, server.Addr)
	app := apptest.New(t, ginsession.WithMemcached(proxy.Addr))
	b := apptest.NewBrowser(app)
	b.Get("/?do=set:a=1")
	proxy.Answer(func(_ string, reply []byte) memcachedtest.Reply {
		return memcachedtest.Reply{Data: reply[:len(reply)-1], Close: true}
	})
	wantDown := func(do string, cookies int) {
		t.Helper()
		w := b.Clone().Get("/?do=" + do)
		if w.Code != http.StatusServiceUnavailable || len(w.SetCookies("__Host-session")) != cookies || len(w.Errors) != 1 || !errors.Is(w.Errors[0], ginsession.ErrUnavailable) {
			t.Errorf("%s: got %d, %v and %v, want 503, %d cookies and ErrUnavailable", do, w.Code, w.Header(), w.Errors, cookies)
		}
	}
	wantDown("get:a", 0)
	server.Kill()
	wantDown("get:a", 0)
	wantDown("set:a=2", 0)
	wantDown("destroy", 1)
	if w := b.Get("/?do=write:untouched"); w.Code != http.StatusOK {
		t.Errorf("untouched: got %d", w.Code)
	}
}

func TestWithMemcached_mistakes(t *testing.T) {
	const server = "127.0.0.1:1"
	store := ginsession.WithStore(apptest.NewStore())
	prefix := ginsession.WithKeyPrefix
	for _, row := range []struct {
		name string
		opts []ginsession.Option
		want []string // options
	}{
		{"good", []ginsession.Option{ginsession.WithMemcached(server), prefix("a:")}, nil},
		{"no server", []ginsession.Option{ginsession.WithMemcached()}, []string{"WithMemcached"}},
		{"every server", []ginsession.Option{ginsession.WithMemcached("a", server, "b", "c")}, []string{"WithMemcached", "WithMemcached", "WithMemcached"}},
		{"no client", []ginsession.Option{ginsession.WithMemcachedClient(nil)}, []string{"WithMemcachedClient"}},
		{"no store", []ginsession.Option{ginsession.WithStore(nil)}, []string{"WithStore"}},
		{"prefix of nothing", []ginsession.Option{prefix("x")}, []string{"WithKeyPrefix"}},
		{"prefix with a space", []ginsession.Option{ginsession.WithMemcached(server), prefix("a b")}, []string{"WithKeyPrefix"}},
		{"prefix of another store", []ginsession.Option{store, prefix("ab")}, []string{"WithKeyPrefix"}},
		{"two stores", []ginsession.Option{ginsession.WithMemcached(server), store}, []string{"WithStore"}},
	} {
		_, err := ginsession.New(apptest.Secret, row.opts...)
		var got []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				var mistake *ginsession.ConfigError
				if errors.As(one, &mistake) {
					got = append(got, mistake.Option)
				}
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v (%v), want %v", row.name, got, err, row.want)
		}
	}
}
