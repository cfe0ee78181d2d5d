package migration_test

import (
	"context"
	"errors"
	"html/template"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	ourstore "github.com/ginsession/ginsession/memstore"
	"github.com/ginsession/ginsession/sessiontest"
)

// The tests below show what becomes different with a move that the compiler
// accepts, in the order of docs/MIGRATION.md.

func TestMove_numbersHandedOn(t *testing.T) {
	got := func(h http.Handler) int {
		u := newUser(h)
		u.get("/login")
		return len(u.body("/"))
	}
	show := func(c *gin.Context) { c.String(http.StatusOK, "%*s", c.GetInt("id"), "") }
	handOn := func(value func(*gin.Context) any) gin.HandlerFunc {
		return func(c *gin.Context) { c.Set("id", value(c)); show(c) }
	}
	theirApp := app{"/login": theirSet("id", 7), "/": handOn(func(c *gin.Context) any { return sessions.Default(c).Get("id") })}
	asAny := app{"/login": ourSet("id", 7), "/": handOn(func(c *gin.Context) any { return ginsession.From(c).Get("id") })}
	asInt := app{"/login": ourSet("id", 7), "/": handOn(func(c *gin.Context) any { return ginsession.From(c).GetInt("id") })}
	want(t, theirs, got(theirApp.behind(contrib(contribCookie()))), 7)
	want(t, "Get", got(asAny.behind(our(t))), 0)
	want(t, "GetInt", got(asInt.behind(our(t))), 7)
}

func TestMove_missingEqualsEmpty(t *testing.T) {
	u := newUser(app{
		"/get": func(c *gin.Context) {
			c.String(http.StatusOK, "%v", c.Query("state") == ginsession.From(c).Get("state"))
		},
		"/string": func(c *gin.Context) {
			c.String(http.StatusOK, "%v", c.Query("state") == ginsession.From(c).GetString("state"))
		},
		"/set": ourSet("state", "random"),
	}.behind(our(t)))
	want(t, "Get of a stranger", u.body("/get"), "false")
	want(t, "GetString of a stranger", u.body("/string"), "true")
	u.get("/set")
	want(t, "Get", u.body("/get?state=random"), "true")
	want(t, "Get without state", u.body("/get"), "false")
}

func TestMove_neverSavedBefore(t *testing.T) {
	theirApp := app{"/set": func(c *gin.Context) { sessions.Default(c).Set("draft", "x") }, "/": theirShow("draft")}
	u := newUser(theirApp.behind(contrib(contribCookie())))
	u.get("/set")
	want(t, theirs+": cookies", len(u.cookies), 0)

	u = newUser(app{"/set": ourSet("draft", "x")}.behind(our(t)))
	u.get("/set")
	want(t, ours+": cookies", len(u.cookies), 1)
}

func TestMove_logoutByDelete(t *testing.T) {
	login := func(c *gin.Context) { ginsession.From(c).Set("cart", "tea"); ginsession.From(c).Set("user", "ada") }
	deleteKey := func(c *gin.Context) { ginsession.From(c).Delete("user") }
	tests := []struct {
		name   string
		store  bool
		logout gin.HandlerFunc
		copied string // what a copy of the cookie from before sees, an hour later
		kept   string // what the browser sees
	}{
		{"Delete", false, deleteKey, "cart user", "cart"},
		{"Delete, on a server store", true, deleteKey, "cart", "cart"},
		{"Delete and Renew", true, func(c *gin.Context) { deleteKey(c); ginsession.From(c).Renew() }, "", "cart"},
		{"Destroy", true, func(c *gin.Context) { ginsession.From(c).Destroy() }, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts []ginsession.Option
				if tt.store {
					opts = append(opts, ginsession.WithStore(ourstore.New()))
				}
				u := newUser(app{"/login": login, "/logout": tt.logout, "/": func(c *gin.Context) {
					c.String(http.StatusOK, "%s", strings.Join(ginsession.From(c).Keys(), " "))
				}}.behind(our(t, opts...)))
				u.get("/login")
				copied := maps.Clone(u.cookies)
				u.get("/logout")
				time.Sleep(time.Hour)
				want(t, "copy", text(u.send("/", copied)), tt.copied)
				want(t, "browser", u.body("/"), tt.kept)
			})
		})
	}
}

func TestMove_copiedCookie(t *testing.T) {
	// outlives reports whether a copy of the cookie is logged in after a log-out.
	outlives := func(h http.Handler) bool {
		u := newUser(h)
		u.get("/login")
		copied := maps.Clone(u.cookies)
		u.get("/logout")
		return text(u.send("/", copied)) == "Ada"
	}
	theirApp := app{"/login": theirSet("name", "Ada"), "/": func(c *gin.Context) {
		name, _ := sessions.Default(c).Get("name").(string)
		c.String(http.StatusOK, name)
	}, "/logout": func(c *gin.Context) {
		s := sessions.Default(c)
		s.Clear()
		s.Options(sessions.Options{MaxAge: -1})
		_ = s.Save()
	}}
	ourApp := app{"/login": ourSet("name", "Ada"),
		"/":       func(c *gin.Context) { c.String(http.StatusOK, ginsession.From(c).GetString("name")) },
		"/logout": func(c *gin.Context) { ginsession.From(c).Destroy() }}
	want(t, "memstore", outlives(theirApp.behind(contrib(memstore.NewStore([]byte(secret))))), false)
	want(t, "a cookie that the process remembers", outlives(ourApp.behind(our(t))), false)
	want(t, "a cookie that it has forgotten", outlives(ourApp.behind(our(t, ginsession.WithMergeBuffer(0)))), true)
	want(t, "a store", outlives(ourApp.behind(our(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr)))), false)
}

func TestMove_plainHTTP(t *testing.T) {
	overTLS, plain := our(t), our(t, ginsession.WithInsecureCookie())
	either := func(c *gin.Context) { // as on the page
		if c.Request.TLS != nil || c.GetHeader("X-Forwarded-Proto") == "https" {
			overTLS(c)
		} else {
			plain(c)
		}
	}
	tests := []struct {
		name       string
		middleware gin.HandlerFunc
		tls        bool
		visits     string // at the second visit
		secure     bool
	}{
		{"Secure, plain http", overTLS, false, "1", true},
		{"Secure, TLS", overTLS, true, "2", true},
		{"insecure, plain http", plain, false, "2", false},
		{"either, plain http", either, false, "2", false},
		{"either, TLS", either, true, "2", true},
	}
	for _, tt := range tests {
		h := app{"/": func(c *gin.Context) {
			s := ginsession.From(c)
			ginsession.Update(s, "visits", func(n int) int { return n + 1 })
			c.String(http.StatusOK, "%d", s.GetInt("visits"))
		}}.behind(tt.middleware)
		srv := httptest.NewUnstartedServer(h)
		if tt.tls {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		t.Cleanup(srv.Close)
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := srv.Client()
		client.Jar = jar
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
		}
		for _, visits := range []string{"1", tt.visits} {
			resp, err := client.Get(map[bool]string{false: "http://example.com", true: "https://example.com"}[tt.tls]) // not localhost
			if err != nil {
				t.Fatal(err)
			}
			want(t, tt.name, text(resp), visits)
			want(t, tt.name+": Secure", resp.Cookies()[0].Secure, tt.secure)
		}
	}
	u := httptest.NewRequest(http.MethodGet, "/", nil)
	u.Header.Set("X-Forwarded-Proto", "https")
	w := httptest.NewRecorder()
	app{"/": ourSet("a", 1)}.behind(either).ServeHTTP(w, u)
	want(t, "behind a proxy: Secure", w.Result().Cookies()[0].Secure, true)
}

func TestMove_sameSite(t *testing.T) {
	sameSite := func(a app, middleware gin.HandlerFunc) http.SameSite {
		return newUser(a.behind(middleware)).get("/").Cookies()[0].SameSite
	}
	store := contribCookie()
	want(t, theirs, sameSite(app{"/": theirSet("a", "b")}, contrib(store)), http.SameSiteNoneMode)
	store.Options(sessions.Options{Path: "/"})
	want(t, theirs+", with Options", sameSite(app{"/": theirSet("a", "b")}, contrib(store)), 0)
	want(t, ours, sameSite(app{"/": ourSet("a", "b")}, our(t)), http.SameSiteLaxMode)
	want(t, "WithSameSite", sameSite(app{"/": ourSet("a", "b")}, our(t, ginsession.WithSameSite(http.SameSiteNoneMode))), http.SameSiteNoneMode)
}

func TestMove_structs(t *testing.T) {
	type hidden struct {
		Name  string
		Token string `json:"-"`
	}
	type notice struct {
		Text string
	}
	u := newUser(app{
		"/set": func(c *gin.Context) {
			ginsession.From(c).Set("hidden", hidden{"Ada", "token"})
			ginsession.From(c).AddFlash(notice{"Saved"}, "")
		},
		"/": func(c *gin.Context) {
			v, ok := ginsession.Get[hidden](ginsession.From(c), "hidden")
			want(t, "struct", v, hidden{Name: "Ada"})
			want(t, "is there", ok, true)
			page := template.Must(template.New("").Parse(`{{range .}}{{.Message.Text}}{{end}}`))
			if err := page.Execute(c.Writer, ginsession.From(c).Flashes()); err != nil {
				t.Error(err)
			}
		},
	}.behind(our(t)))
	u.get("/set")
	want(t, "flash message", u.body("/"), "Saved")
}

func TestMove_saveAfterTheRequest(t *testing.T) {
	var late *ginsession.Session
	a := app{
		"/":     func(c *gin.Context) { late = ginsession.From(c); late.Set("job", "begun") },
		"/show": func(c *gin.Context) { c.String(http.StatusOK, ginsession.From(c).GetString("job")) },
	}
	for name, tt := range map[string]struct {
		middleware gin.HandlerFunc
		err        error
		job        string
	}{
		"cookie":    {our(t), ginsession.ErrLate, "begun"},
		"Memcached": {our(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr)), nil, "done"},
	} {
		u := newUser(a.behind(tt.middleware))
		u.get("/")
		saved := make(chan error)
		go func() {
			late.Set("job", "done")
			saved <- late.Save()
		}()
		if err := <-saved; !errors.Is(err, tt.err) {
			t.Errorf("%s: got %v, want %v", name, err, tt.err)
		}
		want(t, name, u.body("/show"), tt.job)
	}
}

func TestMove_staticFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "logo.svg"), []byte("<svg/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	reads := func(c *gin.Context) { ginsession.From(c).Has("user") }
	vary := func(r *gin.Engine) string { return newUser(r).get("/static/logo.svg").Header.Get("Vary") }

	after := gin.New()
	after.Use(our(t), reads)
	after.Static("/static", dir)
	want(t, "after the middleware", vary(after), "Cookie")

	before := gin.New()
	before.Static("/static", dir)
	before.Use(our(t), reads)
	want(t, "before it", vary(before), "")

	group := gin.New()
	group.Group("/pages", our(t), reads)
	group.Static("/static", dir)
	want(t, "pages in a group", vary(group), "")
}

func TestMove_middlewareByHand(t *testing.T) {
	middleware := our(t)
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest(http.MethodGet, "/", nil)
	middleware(c)
	s := ginsession.From(c)
	s.Set("name", "Ada")
	if err := s.Save(); !errors.Is(err, ginsession.ErrLate) {
		t.Errorf("one after the other: got %v, want ErrLate", err)
	}

	w := httptest.NewRecorder()
	c, _ = gin.CreateTestContext(w)
	c.Request = httptest.NewRequest(http.MethodGet, "/", nil)
	c.Request.AddCookie(sessiontest.New(t, middleware, func(s *ginsession.Session) { s.Set("name", "Ada") }))
	sessiontest.Handle(t, c, middleware, func(c *gin.Context) { c.String(http.StatusOK, ginsession.From(c).GetString("name")) })
	want(t, "by sessiontest", w.Body.String(), "Ada")
}
