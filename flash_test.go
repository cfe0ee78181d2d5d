package ginsession_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

var (
	plain   = ginsession.Flash{Message: "plain", Category: "message"}
	success = ginsession.Flash{Message: "saved", Category: "success"}
	failure = ginsession.Flash{Message: "failed", Category: "error"}
)

func wantFlashes(t *testing.T, what string, got []ginsession.Flash, want ...ginsession.Flash) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// TestSession_Flashes plays requests on one session, separated by a bar. A word
// adds a message (plain, success, failure), or shows those of some categories
// (show, show:error,none): it wants those that follow, with an = before each.
func TestSession_Flashes(t *testing.T) {
	known := map[string]ginsession.Flash{"plain": plain, "success": success, "failure": failure}
	tests := []struct{ name, words string }{
		{"shown once, in order", "success plain failure success | show =success =plain =failure =success | show"},
		{"repeated calls agree", "success plain | show =success =plain show =success =plain | show"},
		{"unread ones stay", "success | | failure | show =success =failure"},
		{"filter", "success plain failure | show:error =failure show:error,none =failure show:none | show:error show:success,message =success =plain | show"},
		{"filter, then all", "success failure | show:error =failure show =success =failure | show"},
		{"the default category", "plain failure | show: =plain show:message =plain | show =failure"},
		{"added before the first call", "plain | success show =plain =success | show"},
		{"added after the first call", "plain | show =plain failure show =plain show:error | show =failure | show"},
		{"shown and added again", "plain | show =plain plain show =plain | show =plain | show"},
		{"added and shown at once", "success show =success | show"},
		{"changed by the caller", "plain failure | spoil show =plain =failure"},
	}
	for kind, opts := range storages() {
		for _, test := range tests {
			v := apptest.NewVisitor(t, opts...)
			for request := range strings.SplitSeq(test.words, "|") {
				v.Visit(func(s *session) {
					var got []ginsession.Flash
					for word := range strings.FieldsSeq(request + " end") {
						verb, categories, filtered := strings.Cut(word, ":")
						if want, ok := strings.CutPrefix(word, "="); ok {
							if len(got) == 0 || got[0] != known[want] {
								t.Errorf("%s, %s: got %v, want %s", kind, test.name, got, want)
								return
							}
							got = got[1:]
							continue
						}
						if len(got) > 0 {
							t.Errorf("%s, %s: got %v more, before %q", kind, test.name, got, word)
						}
						switch {
						case verb == "spoil":
							s.Flashes()[0].Message, got = "changed", nil
						case verb == "show" && filtered:
							got = s.Flashes(strings.Split(categories, ",")...)
						case verb == "show":
							got = s.Flashes()
						case verb != "end":
							s.AddFlash(known[verb].Message, known[verb].Category)
						}
					}
				})
			}
		}
	}
}

// TestSession_AddFlash carries all kinds of messages and categories.
func TestSession_AddFlash(t *testing.T) {
	tests := []struct {
		message  any
		category string
		want     ginsession.Flash
	}{
		{"<i>", "", ginsession.Flash{Message: "<i>", Category: "message"}},
		{template.HTML("<b>"), "", ginsession.Flash{Message: template.HTML("<b>"), Category: "message"}},
		{errors.New("broken"), "error", ginsession.Flash{Message: "broken", Category: "error"}},
		{"", "", ginsession.Flash{Message: "", Category: "message"}},
		{42, "", ginsession.Flash{Message: int64(42), Category: "message"}},
		{"ü\u2028\"", "ü \"", ginsession.Flash{Message: "ü\u2028\"", Category: "ü \""}},
	}
	for kind, opts := range storages() {
		v := apptest.NewVisitor(t, opts...)
		var want []ginsession.Flash
		v.Visit(func(s *session) {
			for _, test := range tests {
				s.AddFlash(test.message, test.category)
				want = append(want, test.want)
			}
		})
		v.Visit(func(s *session) { wantFlashes(t, kind, s.Flashes(), want...) })
	}
}

func TestSession_Flashes_inATemplate(t *testing.T) {
	a := apptest.New(t)
	a.SetHTMLTemplate(template.Must(template.New("page").Parse(
		`{{range .session.Flashes}}<p class="{{.Category}}">{{.Message}}</p>{{end}}`)))
	a.GET("/add", func(c *gin.Context) {
		ginsession.From(c).AddFlash("<script>", `x" onclick="`)
		ginsession.From(c).AddFlash(template.HTML("<b>bold</b>"), "")
	})
	a.GET("/show", func(c *gin.Context) { c.HTML(http.StatusOK, "page", gin.H{"session": ginsession.From(c)}) })
	b := apptest.NewBrowser(a)
	b.Get("/add")
	for _, want := range []string{`<p class="x&#34; onclick=&#34;">&lt;script&gt;</p><p class="message"><b>bold</b></p>`, ""} {
		if got := b.Get("/show").Body.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestSession_Flashes_requestFails keeps messages that a failed request has
// shown: its page was not sent.
func TestSession_Flashes_requestFails(t *testing.T) {
	v := apptest.NewVisitor(t)
	v.Visit(func(s *session) { s.AddFlash("plain", "") })
	v.Visit(func(s *session) { s.Flashes(); s.Set("bad", make(chan int)) })
	v.Visit(func(s *session) { wantFlashes(t, "next request", s.Flashes(), plain) })
}

// TestSession_AddFlash_neverShown adds a message in each of 200 requests and
// shows none: the oldest are dropped, and no request fails for them.
func TestSession_AddFlash_neverShown(t *testing.T) {
	limited := apptest.NewStore()
	limited.SetLimit(4096)
	all := storages()
	all["store"] = options{ginsession.WithStore(limited)}
	for kind, opts := range all {
		log, lines := logTo()
		v := apptest.NewVisitor(t, append(opts, log)...)
		v.Set("user", "ann")
		attempts := make([]string, 200)
		for i := range attempts {
			attempts[i] = fmt.Sprintf("log-in %d failed: %s%s", i, rand.Text(), rand.Text()) // does not compress
			if w := v.Visit(func(s *session) { s.AddFlash(attempts[i], "error") }); w.Code != http.StatusOK || w.Errors != nil {
				t.Fatalf("%s, attempt %d: got %d and %v, want 200 and no errors", kind, i, w.Code, w.Errors)
			}
		}
		if logged := strings.Join(lines(), "\n"); !strings.Contains(logged, " flashes_dropped=") {
			t.Errorf("%s: the log does not say flashes_dropped: %.300s", kind, logged)
		}
		v.Visit(func(s *session) {
			var shown []string
			for _, f := range s.Flashes() {
				shown = append(shown, f.Message.(string))
			}
			if n := len(shown); n < 10 || n >= len(attempts) || !slices.Equal(shown, attempts[len(attempts)-n:]) || s.GetString("user") != "ann" {
				t.Errorf("%s: got %d messages and the user %q, want some of the last and ann: %.300q", kind, n, s.GetString("user"), shown)
			}
		})
		lines()
		v.Visit(func(s *session) { s.AddFlash("plain", "") })
		if logged := lines(); len(logged) != 1 || strings.Contains(logged[0], "flashes_dropped") {
			t.Errorf("%s, one message: got %q, want one line that says nothing of dropped ones", kind, logged)
		}
	}
}

// TestSession_AddFlash_tooLarge: a session does not fail for the size of one
// message or of many, and what else the request did is kept. A value that is too
// large fails as ever.
func TestSession_AddFlash_tooLarge(t *testing.T) {
	limited := apptest.NewStore()
	limited.SetLimit(4096)
	all := storages()
	all["store"] = options{ginsession.WithStore(limited)}
	large := ""
	for len(large) < 8000 {
		large += rand.Text()
	}
	for kind, opts := range all {
		v := apptest.NewVisitor(t, opts...)
		v.Set("user", "ann")
		w := v.Visit(func(s *session) {
			s.AddFlash("small", "")
			s.AddFlash(large, "")
			s.Set("a", 1)
		})
		if w.Code != http.StatusOK || w.Errors != nil {
			t.Errorf("%s: got %d and %v, want 200 and no errors", kind, w.Code, w.Errors)
		}
		wantValues(t, kind, v, map[string]any{"user": "ann", "a": int64(1)})
		v.Visit(func(s *session) {
			if slices.ContainsFunc(s.Flashes(), func(f ginsession.Flash) bool { return f.Message == large }) {
				t.Errorf("%s: got the large message", kind)
			}
		})
		v.Visit(func(s *session) {
			for i := range 100 {
				s.AddFlash(fmt.Sprintf("%03d %s", i, large[50*i:50*i+50]), "")
			}
		})
		v.Visit(func(s *session) {
			shown := s.Flashes()
			for i, f := range shown {
				if want := fmt.Sprintf("%03d ", 100-len(shown)+i); len(shown) < 10 || !strings.HasPrefix(f.Message.(string), want) {
					t.Errorf("%s, message %d of %d: got %.4s, want %s", kind, i, len(shown), f.Message, want)
				}
			}
		})
		w = v.Visit(func(s *session) { s.Set("large", large); s.AddFlash("small", "") })
		wantOneError(t, kind+", a large value", w.Errors, ginsession.ErrTooLarge)
	}
}

func TestSession_KeepFlashes(t *testing.T) {
	texts := func(flashes []ginsession.Flash) (texts []string) {
		for _, f := range flashes {
			texts = append(texts, fmt.Sprint(f.Message))
		}
		return texts
	}
	for _, row := range []struct {
		name string
		do   func(*ginsession.Session)
		want []string // what the next request shows
	}{
		{"shown", func(s *ginsession.Session) { s.Flashes() }, nil},
		{"kept", func(s *ginsession.Session) { s.Flashes(); s.KeepFlashes() }, []string{"one", "two"}},
		{"kept twice", func(s *ginsession.Session) { s.Flashes(); s.KeepFlashes(); s.KeepFlashes() }, []string{"one", "two"}},
		{"of a category", func(s *ginsession.Session) { s.Flashes(); s.KeepFlashes("error") }, []string{"two"}},
		{"not shown", func(s *ginsession.Session) { s.KeepFlashes() }, []string{"one", "two"}},
		{"shown again", func(s *ginsession.Session) { s.Flashes(); s.KeepFlashes(); s.Flashes() }, nil},
		{"after Save", func(s *ginsession.Session) { s.Flashes(); _ = s.Save(); s.KeepFlashes(); s.KeepFlashes() }, []string{"one", "two"}},
		{"its own", func(s *ginsession.Session) { s.Flashes(); s.AddFlash("three", ""); s.KeepFlashes() }, []string{"three", "one", "two"}},
	} {
		for _, opts := range [][]ginsession.Option{nil, {ginsession.WithStore(apptest.NewStore())}, {ginsession.WithFlaskCookie()}} {
			v := apptest.NewVisitor(t, opts...)
			v.Visit(func(s *ginsession.Session) { s.AddFlash("one", ""); s.AddFlash("two", "error") })
			v.Visit(row.do)
			var got []string
			v.Visit(func(s *ginsession.Session) { got = texts(s.Flashes()) })
			if !slices.Equal(got, row.want) {
				t.Errorf("%s: got %q, want %q", row.name, got, row.want)
			}
		}
	}
}

// TestSession_KeepFlashes_ofFlask keeps one of two messages in Flask's cookie, which
// numbers them from 0, after a commit has removed it.
func TestSession_KeepFlashes_ofFlask(t *testing.T) {
	app := newApp(t, ginsession.WithFlaskCookie())
	b := apptest.NewBrowser(app)
	app.Play(b, func(c *gin.Context) {
		s := ginsession.From(c)
		s.AddFlash("one", "a")
		s.AddFlash("two", "b")
	})
	app.Play(b, func(c *gin.Context) {
		s := ginsession.From(c)
		s.Flashes("b")
		_ = s.Save()
		s.KeepFlashes("b")
	})
	var got []ginsession.Flash
	app.Play(b, func(c *gin.Context) { got = ginsession.From(c).Flashes() })
	if len(got) != 2 {
		t.Errorf("got %v, want both", got)
	}
}

// TestSession_Flashes_imported shows a message that came from Flask once, also if the
// commit that removes it is replayed.
func TestSession_Flashes_imported(t *testing.T) {
	b := apptest.NewBrowser(apptest.New(t, ginsession.WithFlaskCookie(), ginsession.WithName("session")))
	old := b.Handler.(*apptest.App)
	old.Play(b, func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("user", "ann")
		s.AddFlash("one", "a")
	})
	app := newApp(t, ginsession.WithStore(apptest.NewStore()), ginsession.WithFlaskMigration(apptest.Secret))
	b.Handler = app
	app.Play(b, func(c *gin.Context) { ginsession.From(c).Get("user") }) // imported
	var first, second []ginsession.Flash
	app.Play(b, func(c *gin.Context) {
		first = ginsession.From(c).Flashes()
		app.Play(b.Clone(), func(c *gin.Context) { ginsession.From(c).Set("other", 1) })
	})
	app.Play(b, func(c *gin.Context) { second = ginsession.From(c).Flashes() })
	if len(first) != 1 || len(second) != 0 {
		t.Errorf("shown %v, and then %v", first, second)
	}
}

// TestSession_KeepFlashes_ofAnother puts back nothing that another request has shown.
func TestSession_KeepFlashes_ofAnother(t *testing.T) {
	app := newApp(t, ginsession.WithStore(apptest.NewStore()))
	b := apptest.NewBrowser(app)
	app.Play(b, func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("user", "ann")
		s.AddFlash("one", "a")
		s.AddFlash("two", "b")
	})
	var other []ginsession.Flash
	app.Play(b, func(c *gin.Context) {
		s := ginsession.From(c)
		s.Flashes("a")
		app.Play(b.Clone(), func(c *gin.Context) { other = ginsession.From(c).Flashes("b") })
		if err := s.Save(); err != nil {
			t.Error(err)
		}
		s.KeepFlashes()
	})
	var got []ginsession.Flash
	app.Play(b, func(c *gin.Context) { got = ginsession.From(c).Flashes() })
	if len(got) != 1 || len(other) != 1 {
		t.Errorf("the other was shown %v, the next one %v", other, got)
	}
}
