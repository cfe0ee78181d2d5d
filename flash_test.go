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
	"github.com/ginsession/ginsession/internal/memstore"
)

func addFlashes(flashes ...ginsession.Flash) func(*ginsession.Session) {
	return func(s *ginsession.Session) {
		for _, f := range flashes {
			s.AddFlash(f.Message, f.Category)
		}
	}
}

func wantFlashes(t *testing.T, what string, got []ginsession.Flash, want ...ginsession.Flash) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

var (
	plain   = ginsession.Flash{Message: "plain", Category: "message"}
	success = ginsession.Flash{Message: "saved", Category: "success"}
	failure = ginsession.Flash{Message: "failed", Category: "error"}
)

func TestFlashes_shownOnceInOrder(t *testing.T) {
	v := newVisitor(t)
	wantLine(t, "AddFlash", v.visit(addFlashes(success, plain, failure, success)), false)
	w := v.visit(func(s *ginsession.Session) {
		wantFlashes(t, "first", s.Flashes(), success, plain, failure, success)
		wantFlashes(t, "again in the request", s.Flashes(), success, plain, failure, success)
	})
	wantLine(t, "all shown", w, true)
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "next request", s.Flashes()) })
}

func TestFlashes_unreadStay(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(success))
	unwritten(t, "another page", v.visit(func(s *ginsession.Session) { s.Get("x") }))
	v.visit(addFlashes(failure))
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "both", s.Flashes(), success, failure) })
}

func TestFlashes_filter(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(success, plain, failure))
	v.visit(func(s *ginsession.Session) {
		wantFlashes(t, "errors", s.Flashes("error"), failure)
		wantFlashes(t, "errors again", s.Flashes("error", "none"), failure)
		wantFlashes(t, "none", s.Flashes("none"))
	})
	v.visit(func(s *ginsession.Session) {
		wantFlashes(t, "errors, next request", s.Flashes("error"))
		wantFlashes(t, "two categories", s.Flashes("success", "message"), success, plain)
		wantFlashes(t, "all", s.Flashes(), success, plain)
	})
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "all gone", s.Flashes()) })
}

func TestFlashes_filterThenAll(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(success, failure))
	v.visit(func(s *ginsession.Session) {
		wantFlashes(t, "filter", s.Flashes("error"), failure)
		wantFlashes(t, "all of the request", s.Flashes(), success, failure)
	})
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "next request", s.Flashes()) })
}

func TestFlashes_defaultCategory(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(ginsession.Flash{Message: "plain"}, failure))
	v.visit(func(s *ginsession.Session) {
		wantFlashes(t, `""`, s.Flashes(""), plain)
		wantFlashes(t, "message", s.Flashes("message"), plain)
	})
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "the other", s.Flashes(), failure) })
}

// TestFlashes_addedInTheRequest is Flask's rule: what is there at the first
// call is shown, what comes later is for the next request.
func TestFlashes_addedInTheRequest(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(plain))
	v.visit(func(s *ginsession.Session) {
		s.AddFlash("saved", "success")
		wantFlashes(t, "added before", s.Flashes(), plain, success)
		s.AddFlash("failed", "error")
		wantFlashes(t, "added after", s.Flashes(), plain, success)
		wantFlashes(t, "added after, by category", s.Flashes("error"))
	})
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "next request", s.Flashes(), failure) })
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "the one after", s.Flashes()) })
}

// TestFlashes_equalOnes: one that is added again after it was shown is another
// one.
func TestFlashes_equalOnes(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(plain))
	v.visit(func(s *ginsession.Session) {
		s.Flashes()
		s.AddFlash(plain.Message, "")
		s.Flashes()
	})
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "next request", s.Flashes(), plain) })
}

func TestFlashes_messages(t *testing.T) {
	v := newVisitor(t)
	v.visit(func(s *ginsession.Session) {
		s.AddFlash("<i>", "")
		s.AddFlash(template.HTML("<b>"), "")
		s.AddFlash(errors.New("broken"), "error")
		s.AddFlash("", "")
		s.AddFlash(42, "")
		s.AddFlash("ü\u2028\"", "ü \"")
	})
	v.visit(func(s *ginsession.Session) {
		wantFlashes(t, "all kinds", s.Flashes(),
			ginsession.Flash{Message: "<i>", Category: "message"}, ginsession.Flash{Message: template.HTML("<b>"), Category: "message"},
			ginsession.Flash{Message: "broken", Category: "error"}, ginsession.Flash{Message: "", Category: "message"},
			ginsession.Flash{Message: int64(42), Category: "message"}, ginsession.Flash{Message: "ü\u2028\"", Category: "ü \""})
	})
}

func TestFlashes_inATemplate(t *testing.T) {
	r := newEngine(t)
	r.SetHTMLTemplate(template.Must(template.New("page").Parse(
		`{{range .session.Flashes}}<p class="{{.Category}}">{{.Message}}</p>{{end}}`)))
	r.GET("/add", func(c *gin.Context) {
		ginsession.From(c).AddFlash("<script>", `x" onclick="`)
		ginsession.From(c).AddFlash(template.HTML("<b>bold</b>"), "")
	})
	r.GET("/show", func(c *gin.Context) { c.HTML(http.StatusOK, "page", gin.H{"session": ginsession.From(c)}) })
	b := newBrowser(r)
	b.get("/add")
	const want = `<p class="x&#34; onclick=&#34;">&lt;script&gt;</p><p class="message"><b>bold</b></p>`
	if got := b.get("/show").Body.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := b.get("/show").Body.String(); got != "" {
		t.Errorf("shown twice: %s", got)
	}
}

func TestFlashes_doNotShareMemory(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(plain, failure))
	v.visit(func(s *ginsession.Session) {
		s.Flashes()[0].Message = "changed"
		wantFlashes(t, "again", s.Flashes(), plain, failure)
	})
}

func TestFlashes_keptWhereTheRequestFails(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(plain))
	w := v.visit(func(s *ginsession.Session) {
		s.Flashes()
		s.Set("bad", make(chan int))
	})
	if w.Code != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", w.Code)
	}
	v.visit(func(s *ginsession.Session) { wantFlashes(t, "next request", s.Flashes(), plain) })
}

func TestFlashes_clearedAndDestroyed(t *testing.T) {
	for name, end := range map[string]func(*ginsession.Session){
		"Clear":   func(s *ginsession.Session) { s.Clear() },
		"Destroy": func(s *ginsession.Session) { s.Destroy() },
	} {
		v := newVisitor(t)
		v.visit(addFlashes(plain))
		v.visit(func(s *ginsession.Session) {
			end(s)
			wantFlashes(t, name, s.Flashes())
			s.AddFlash("failed", "error")
		})
		v.visit(func(s *ginsession.Session) { wantFlashes(t, name+", next request", s.Flashes(), failure) })
	}
}

func TestAddFlash_tooMany(t *testing.T) {
	v := newVisitor(t)
	v.visit(addFlashes(plain))
	v.visit(func(s *ginsession.Session) {
		s.Set("user_id", 42)
		for i := range 100 {
			s.AddFlash(fmt.Sprintf("%03d %s", i, strings.Repeat("x", 100)), "")
		}
		if err := s.Save(); err != nil {
			t.Errorf("got %v, want the oldest to be dropped", err)
		}
	})
	v.visit(func(s *ginsession.Session) {
		flashes := s.Flashes()
		if n := len(flashes); n < 10 || s.GetInt("user_id") != 42 {
			t.Fatalf("got %d messages and user %d", n, s.GetInt("user_id"))
		}
		for i, f := range flashes {
			if want := fmt.Sprintf("%03d ", 100-len(flashes)+i); !strings.HasPrefix(f.Message.(string), want) {
				t.Errorf("message %d: got %.4s, want %s", i, f.Message, want)
			}
		}
	})
}

// What is added and shown in one request has never left it: nothing to save.
func TestFlashes_addedAndShownAtOnce(t *testing.T) {
	for _, opts := range [][]ginsession.Option{nil, {ginsession.WithStore(memstore.New())}} {
		h := mustNew(t, secret, opts...)
		k := cookieOf(t, h, "ann")
		w := with(t, h, []*http.Cookie{k}, func(s *ginsession.Session) {
			s.AddFlash("saved", "success")
			wantFlashes(t, "at once", s.Flashes(), success)
		})
		unwritten(t, "added and shown", w)
	}
}

// Of two requests that met, one adds a message and the other shows those that
// were there: what is left is what was added, once.
func TestFlashes_replay(t *testing.T) {
	m := newMeeting(t, ginsession.WithStore(memstore.New()))
	m.r.GET("/add", func(c *gin.Context) { ginsession.From(c).AddFlash("plain", "") })
	m.r.GET("/take", func(c *gin.Context) { wantFlashes(t, "meanwhile", ginsession.From(c).Flashes(), plain) })
	m.r.GET("/rest", func(c *gin.Context) {
		wantFlashes(t, "left", ginsession.From(c).Flashes(), success, failure)
	})
	m.get("/add")
	m.slow(t, func(s *ginsession.Session) {
		s.AddFlash("failed", "error")
		s.Flashes("error")
		s.AddFlash("saved", "success")
		s.AddFlash("failed", "error")
	}, visit("/take"))
	m.get("/rest")
}

func TestFlashes_replayKeepsWhatOthersAdded(t *testing.T) {
	m := newMeeting(t, ginsession.WithStore(memstore.New()))
	m.r.GET("/add", func(c *gin.Context) { ginsession.From(c).AddFlash("plain", "") })
	m.r.GET("/rest", func(c *gin.Context) {
		wantFlashes(t, "left", ginsession.From(c).Flashes(), plain, plain, success)
	})
	m.get("/add")
	m.slow(t, addFlashes(success), visit("/add"))
	m.get("/rest")
}

// TestFlashes_neverShown adds a message in each of 200 requests and shows none:
// the oldest go, and no request fails for them.
func TestFlashes_neverShown(t *testing.T) {
	limited := apptest.NewStore()
	limited.SetLimit(4096)
	for _, row := range []struct {
		name string
		opts options
	}{
		{"cookie", nil},
		{"flask", options{ginsession.WithFlaskCookie()}},
		{"store", options{ginsession.WithStore(limited)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			log, lines := logTo()
			v := newVisitor(t, append(row.opts, log)...)
			v.set("user", "ann")
			attempts := make([]string, 200)
			for i := range attempts {
				attempts[i] = fmt.Sprintf("log-in %d failed: %s%s", i, rand.Text(), rand.Text()) // does not compress
				w := v.visit(addFlashes(ginsession.Flash{Message: attempts[i], Category: "error"}))
				if w.Code != http.StatusOK || v.errors != nil {
					t.Fatalf("attempt %d: got %d and %v, want 200 and no errors", i, w.Code, v.errors)
				}
			}
			if logged := strings.Join(lines(), "\n"); !strings.Contains(logged, " flashes_dropped=") {
				t.Errorf("the log does not say flashes_dropped: %.300s", logged)
			}
			v.visit(func(s *ginsession.Session) {
				shown := s.Flashes()
				if len(shown) < 10 || len(shown) >= len(attempts) || s.GetString("user") != "ann" {
					t.Fatalf("got %d messages and the user %q, want some of %d and ann", len(shown), s.GetString("user"), len(attempts))
				}
				for i, want := range attempts[len(attempts)-len(shown):] {
					if shown[i].Message != want {
						t.Errorf("message %d of %d: got %q, want %q", i, len(shown), shown[i].Message, want)
					}
				}
			})
			lines()
			v.visit(addFlashes(plain))
			if logged := lines(); len(logged) != 1 || strings.Contains(logged[0], "flashes_dropped") {
				t.Errorf("one message: got %q, want one line that says nothing of dropped ones", logged)
			}
		})
	}
}

// TestFlashes_oneTooLarge: a session does not fail for the size of its messages,
// and what else the request did is kept. A value that is too large fails as ever.
func TestFlashes_oneTooLarge(t *testing.T) {
	limited := apptest.NewStore()
	limited.SetLimit(4096)
	random := rand.Text()
	for len(random) < 8000 {
		random += rand.Text()
	}
	for _, opts := range []options{nil, {ginsession.WithFlaskCookie()}, {ginsession.WithStore(limited)}} {
		v := newVisitor(t, opts...)
		v.set("user", "ann")
		w := v.visit(func(s *ginsession.Session) {
			s.AddFlash("small", "")
			s.AddFlash(random, "")
			s.Set("a", 1)
		})
		if w.Code != http.StatusOK || v.errors != nil {
			t.Errorf("got %d and %v, want 200 and no errors", w.Code, v.errors)
		}
		v.visit(func(s *ginsession.Session) {
			if s.GetString("user") != "ann" || s.GetInt("a") != 1 {
				t.Errorf("got user %q and a %d, want ann and 1", s.GetString("user"), s.GetInt("a"))
			}
			if shown := s.Flashes(); slices.ContainsFunc(shown, func(f ginsession.Flash) bool { return f.Message == random }) {
				t.Error("got the large message")
			}
		})
		v.visit(func(s *ginsession.Session) { s.Set("large", random); s.AddFlash("small", "") })
		wantOneError(t, "a large value", v.errors, ginsession.ErrTooLarge)
	}
}
