package bridge_test

import (
	"bufio"
	"fmt"
	"go/format"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memcached"
	"github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/gincontrib"
	"github.com/ginsession/ginsession/internal/docstest"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/servertest"
)

// takeOver moves visitors on who bring a cookie of gin-contrib/sessions: store
// and name are those that sessions.Sessions had.
func takeOver(name string, store sessions.Store) gin.HandlerFunc {
	return func(c *gin.Context) {
		if len(c.Request.CookiesNamed(name)) == 0 {
			return
		}
		old, err := store.New(c.Request, name)
		if err != nil || old.IsNew {
			return // the cookie is not accepted
		}
		if s := ginsession.From(c); s.IsNew() && s.Rejected() == nil {
			session := sessions.Default(c)
			for key, value := range old.Values {
				list, ok := value.([]any)
				if !ok {
					session.Set(key, value)
					continue
				}
				for _, message := range list { // flash messages
					session.AddFlash(message, fmt.Sprint(key))
				}
			}
			if err := s.Save(); err != nil { // the old session stays, for the next request
				_ = c.AbortWithError(http.StatusServiceUnavailable, err)
				return
			}
		}
		old.Options.MaxAge = -1 // delete it, in the store and in the browser
		if err := old.Save(c.Request, c.Writer); err != nil {
			_ = c.Error(err)
		}
	}
}

// TestTakeOver_page wants takeOver word for word in the README of gincontrib.
func TestTakeOver_page(t *testing.T) {
	source, err := os.ReadFile("takeover_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "\n// takeOver moves")
	code, _, _ = strings.Cut(code, "\n}\n")
	want := "// takeOver moves" + code + "\n}\n"
	if formatted, err := format.Source([]byte(want)); err != nil || string(formatted) != want {
		t.Fatalf("not found: %v", err)
	}
	text, err := os.ReadFile("../../../gincontrib/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(docstest.Blocks(string(text), "go"), want) {
		t.Errorf("the README of gincontrib has no block\n%s", want)
	}
}

// redisServer runs Redis until the test ends, and returns its address.
func redisServer(t *testing.T) string {
	t.Helper()
	servertest.Need(t, "redis-server")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for range 1000 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return addr
		}
		time.Sleep(5 * time.Millisecond) // the process says nothing when it is ready
	}
	t.Fatal("Redis does not start")
	return ""
}

// stores are those that people come from.
var stores = map[string]func(*testing.T) sessions.Store{
	"cookie":           func(*testing.T) sessions.Store { return cookie.NewStore([]byte(secret)) },
	"encrypted cookie": func(*testing.T) sessions.Store { return cookie.NewStore([]byte(secret), []byte(secret)[:32]) },
	"Memcached": func(t *testing.T) sessions.Store {
		return memcached.NewStore(memcache.New(memcachedtest.Start(t).Addr), "", []byte(secret))
	},
	"Redis": func(t *testing.T) sessions.Store {
		store, err := redis.NewStore(2, "tcp", redisServer(t), "", "", []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return store
	},
}

// apps returns an app before the move, and after it.
func apps(t *testing.T, store sessions.Store, opts ...ginsession.Option) (before, after http.Handler) {
	old, moved := gin.New(), gin.New()
	old.Use(sessions.Sessions("mysession", store))
	moved.Use(our(t, opts...), gincontrib.Bridge(), takeOver("mysession", store))
	for _, r := range []*gin.Engine{old, moved} {
		r.GET("/login", func(c *gin.Context) {
			s := sessions.Default(c)
			s.Set("id", uint(7))
			s.Set("account", &account{ID: 7, Secret: "hidden from JSON"})
			s.AddFlash("welcome")
			s.AddFlash("no", "error")
			if err := s.Save(); err != nil {
				t.Error(err)
			}
		})
		r.GET("/logout", func(c *gin.Context) {
			s := sessions.Default(c)
			s.Clear()
			s.Options(sessions.Options{Path: "/", MaxAge: -1})
			_ = s.Save()
		})
		r.GET("/", func(c *gin.Context) {
			s := sessions.Default(c)
			who, _ := s.Get("account").(*account)
			if who == nil {
				c.String(http.StatusOK, "stranger")
				return
			}
			c.String(http.StatusOK, "%d %s %v %v", s.Get("id").(uint), who.Secret, s.Flashes(), s.Flashes("error"))
		})
		r.GET("/bad", func(c *gin.Context) { sessions.Default(c).Set("bad", nil) })
		r.GET("/static", func(*gin.Context) {})
	}
	return old, moved
}

func TestTakeOver(t *testing.T) {
	for name, newStore := range stores {
		t.Run(name, func(t *testing.T) {
			before, after := apps(t, newStore(t))
			u := newUser(t, before)
			u.send("/login")
			copied := maps.Clone(u.cookies)
			u.h = after
			if got, want := u.body("/"), "7 hidden from JSON [welcome] [no]"; got != want {
				t.Errorf("the first request: got %q, want %q", got, want)
			}
			if got, want := slices.Collect(maps.Keys(u.cookies)), "__Host-session"; len(got) != 1 || got[0] != want {
				t.Errorf("got the cookies %v, want %s alone", got, want)
			}
			if got, want := u.body("/"), "7 hidden from JSON [] []"; got != want {
				t.Errorf("the second request: got %q, want %q", got, want)
			}
			u.send("/logout")
			if got := u.body("/"); got != "stranger" {
				t.Errorf("after the log-out: got %q", got)
			}
			u.cookies = copied
			if got := u.body("/"); (got == "stranger") != !strings.Contains(name, "cookie") {
				t.Errorf("a copy of the old cookie: got %q; only cookies outlive the move", got)
			}
		})
	}
}

// TestTakeOver_newerSession wants the session that the browser has already.
func TestTakeOver_newerSession(t *testing.T) {
	before, after := apps(t, cookie.NewStore([]byte(secret)))
	u := newUser(t, before)
	u.send("/login")
	old := u.cookies["mysession"]
	u.cookies, u.h = map[string]string{}, after
	u.send("/login")
	u.body("/")
	u.cookies["mysession"] = old
	if got, want := u.body("/"), "7 hidden from JSON [] []"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if u.cookies["mysession"] != "" {
		t.Error("the old cookie is there still")
	}
}

func TestTakeOver_forgedCookie(t *testing.T) {
	_, after := apps(t, cookie.NewStore([]byte(secret)))
	for _, value := range []string{"", "forged", strings.Repeat("A", 4000)} {
		u := newUser(t, after)
		u.cookies["mysession"] = value
		if got := u.body("/"); got != "stranger" {
			t.Errorf("got %q", got)
		}
	}
}

// TestTakeOver_gone leaves a cookie alone whose session the old store has lost.
func TestTakeOver_gone(t *testing.T) {
	addr := redisServer(t)
	store, err := redis.NewStore(2, "tcp", addr, "", "", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	before, after := apps(t, store)
	u := newUser(t, before)
	u.send("/login")
	u.h = after
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("FLUSHALL\r\n")); err != nil {
		t.Fatal(err)
	}
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer != "+OK\r\n" {
		t.Fatalf("got %q, %v", answer, err)
	}
	if got := u.body("/"); got != "stranger" || u.cookies["mysession"] == "" {
		t.Errorf("got %q and the cookies %v", got, slices.Collect(maps.Keys(u.cookies)))
	}
}

// TestTakeOver_storeDown wants the old cookie kept if the session is not saved.
func TestTakeOver_storeDown(t *testing.T) {
	server := memcachedtest.Start(t)
	before, after := apps(t, cookie.NewStore([]byte(secret)), ginsession.WithMemcached(server.Addr))
	u := newUser(t, before)
	u.send("/login")
	u.h = after
	server.Kill()
	if got := u.send("/static").StatusCode; got != http.StatusServiceUnavailable || u.cookies["mysession"] == "" {
		t.Errorf("got status %d and the cookies %v", got, slices.Collect(maps.Keys(u.cookies)))
	}
	server.Restart()
	if got, want := u.body("/"), "7 hidden from JSON [welcome] [no]"; got != want {
		t.Errorf("later: got %q, want %q", got, want)
	}
}
