package txn_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

const cookieName = "sid"

// storages are where a session can live.
var storages = []struct {
	name string
	opts func() []ginsession.Option
}{
	{"cookie", func() []ginsession.Option { return nil }},
	{"flask", func() []ginsession.Option { return []ginsession.Option{ginsession.WithFlaskCookie()} }},
	{"store", func() []ginsession.Option { return []ginsession.Option{ginsession.WithStore(apptest.NewStore())} }},
}

func newApp(t *testing.T, opts ...ginsession.Option) (*apptest.App, *apptest.Browser) {
	t.Helper()
	a := apptest.New(t, append(opts, ginsession.WithName(cookieName))...)
	return a, apptest.NewBrowser(a)
}

// sees returns what a copy of the browser's cookies opens, as "k=v" lines.
func sees(b *apptest.Browser) []string { return b.Clone().Get("/?do=keys").Lines() }

func read(c *gin.Context) { ginsession.From(c).Len() }
func set(c *gin.Context)  { ginsession.From(c).Set("user", "ann") }
func save(c *gin.Context) { set(c); _ = ginsession.From(c).Save() }

func inTurn(handlers ...gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		for _, h := range handlers {
			h(c)
		}
	}
}

func TestTxn_Headers_vary(t *testing.T) {
	vary := func(values ...string) gin.HandlerFunc {
		return func(c *gin.Context) { c.Writer.Header()["Vary"] = values }
	}
	rows := []struct {
		name   string
		handle gin.HandlerFunc
		want   string
	}{
		{"untouched", vary("Origin"), "[Origin]"},
		{"none", read, "[Cookie]"},
		{"another", inTurn(vary("Accept-Encoding"), read), "[Accept-Encoding Cookie]"},
		{"another after", inTurn(read, vary("Accept-Encoding")), "[Accept-Encoding Cookie]"},
		{"another after Save", inTurn(save, vary("Accept-Encoding")), "[Accept-Encoding Cookie]"},
		{"ours overwritten", inTurn(save, func(c *gin.Context) { c.Writer.Header()["Vary"][0] = "Origin" }, save), "[Origin Cookie]"},
		{"after Save", inTurn(save, read), "[Cookie]"},
		{"in a list", inTurn(vary("Origin, cookie"), read), "[Origin, cookie]"},
		{"lower case", inTurn(vary("cookie"), read), "[cookie]"},
		{"in a second line", inTurn(vary("Origin", "COOKIE"), read), "[Origin COOKIE]"},
		{"everything", inTurn(vary("*"), read), "[*]"},
		{"part of a name", inTurn(vary("X-Cookie"), read), "[X-Cookie Cookie]"},
	}
	for _, row := range rows {
		a, b := newApp(t)
		if got := fmt.Sprint(a.Play(b, row.handle).Result().Header["Vary"]); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestTxn_Headers_cacheControl(t *testing.T) {
	own := func(c *gin.Context) { c.Header("Cache-Control", "private") }
	rows := []struct {
		name   string
		handle gin.HandlerFunc
		want   string
	}{
		{"read", read, "[]"},
		{"changed", set, "[no-store]"},
		{"saved", save, "[no-store]"},
		{"own", inTurn(own, set), "[private]"},
		{"own after", inTurn(set, own), "[private]"},
		{"own after Save", inTurn(save, own), "[private]"},
		{"destroyed", func(c *gin.Context) { ginsession.From(c).Destroy() }, "[no-store]"},
	}
	for _, row := range rows {
		a, b := newApp(t)
		b.Get("/?do=set:a=1")
		if got := fmt.Sprint(a.Play(b, row.handle).Result().Header["Cache-Control"]); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

// TestTxn_Headers_setCookie: after each Save our line is among the headers once,
// and others that are there, or were kept, stay as they are.
func TestTxn_Headers_setCookie(t *testing.T) {
	for others := range 2 {
		a, b := newApp(t)
		w := a.Play(b, func(c *gin.Context) {
			s := ginsession.From(c)
			if others > 0 {
				c.SetCookie("other", "1", 0, "/", "", true, true)
			}
			var kept, copied []string
			for _, user := range []string{"ann", "ann", "bob"} {
				s.Set("user", user)
				if err := s.Save(); err != nil {
					t.Error(err)
				}
				lines := c.Writer.Header()["Set-Cookie"]
				if len(lines) != others+1 {
					t.Errorf("%s: got %q, want %d others and ours", user, lines, others)
				}
				if kept == nil {
					kept, copied = lines, slices.Clone(lines)
				}
			}
			if !slices.Equal(kept, copied) {
				t.Errorf("lines that somebody kept: got %q, want %q", kept, copied)
			}
			s.Set("user", "cleo")
		})
		if got := w.Result().Header["Set-Cookie"]; len(got) != others+1 || !slices.Equal(sees(b), []string{"user=cleo"}) {
			t.Errorf("got %q and %q, want %d others and ours, with user=cleo", got, sees(b), others)
		}
	}
	a, b := newApp(t)
	w := a.Play(b, inTurn(save, func(c *gin.Context) { c.Writer.Header().Del("Set-Cookie") }))
	if got := w.Header()["Set-Cookie"]; len(got) != 1 {
		t.Errorf("dropped by the handler: got %q, want ours", got)
	}
}

// TestTxn_Headers_goroutine: Save leaves the headers alone, so that any goroutine
// may call it; the next look at them finds its cookie. The race detector looks on.
func TestTxn_Headers_goroutine(t *testing.T) {
	for _, storage := range storages {
		a, b := newApp(t, storage.opts()...)
		var before, after []string
		w := a.Play(b, func(c *gin.Context) {
			h, done := c.Writer.Header(), make(chan error)
			go func(c *gin.Context) {
				s := ginsession.From(c)
				for i := range 100 {
					s.Set("a", i)
					if err := s.Save(); err != nil {
						t.Error(err)
					}
				}
				done <- nil
			}(c.Copy())
			for i := range 1000 {
				h[fmt.Sprint("X-", i%10)] = []string{"1"}
			}
			<-done
			before = slices.Clone(h["Set-Cookie"])
			after = slices.Clone(c.Writer.Header()["Set-Cookie"])
			c.Status(http.StatusNoContent)
		})
		if len(before) != 0 || len(after) != 1 || !slices.Equal(w.SetCookies(cookieName), after) {
			t.Errorf("%s: got %q before the headers were asked for, %q then, and sent %q, want none, one, the same",
				storage.name, before, after, w.SetCookies(cookieName))
		}
		if got := sees(b); !slices.Equal(got, []string{"a=99"}) {
			t.Errorf("%s: got %q, want a=99", storage.name, got)
		}
	}
}

// TestTxn_Headers_importOfOurName: where Flask's cookie and ours have one name,
// one line replaces both.
func TestTxn_Headers_importOfOurName(t *testing.T) {
	const flaskSecret = "the secret of the Flask app, long"
	for words, want := range map[string][]string{"set:user=bob": {"user=bob"}, "clear,save,set:user=bob,save": {"user=bob"}, "clear,save,set:user=bob,save,destroy": nil} {
		b := apptest.NewBrowser(apptest.Mount(apptest.Middleware(t, flaskSecret, ginsession.WithFlaskCookie())))
		b.Get("/?do=set:user=ann")
		b.Handler = apptest.New(t, ginsession.WithName("session"), ginsession.WithFlaskMigration(flaskSecret))
		if got := sees(b); !slices.Equal(got, []string{"user=ann"}) {
			t.Fatalf("got %q, want Flask's session", got)
		}
		if w := b.Get("/?do=" + words); len(w.SetCookies("session")) != 1 || !slices.Equal(sees(b), want) {
			t.Errorf("%s: got %q and %q, want one line, and %q", words, w.SetCookies("session"), sees(b), want)
		}
	}
}
