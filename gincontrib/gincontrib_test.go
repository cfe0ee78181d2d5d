package gincontrib_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/gincontrib"
	"github.com/ginsession/ginsession/internal/memcachedtest"
)

func TestBridge_withoutSession(t *testing.T) {
	for name, bridge := range map[string]gin.HandlerFunc{
		"one":           gincontrib.Bridge(),
		"with names":    gincontrib.Bridge("shop"),
		"one of two is": gincontrib.Bridge(ginsession.Key, "prefs"),
	} {
		t.Run(name, func(t *testing.T) {
			panicked := ""
			catch := func(c *gin.Context) {
				defer func() { panicked, _ = recover().(string) }()
				c.Next()
			}
			middleware := []gin.HandlerFunc{catch, bridge}
			if strings.HasPrefix(name, "one of") {
				middleware = []gin.HandlerFunc{catch, our(t), bridge}
			}
			newScene(t, middleware...).request(func(*gin.Context) {})
			if !strings.Contains(panicked, "mount ginsession.New(secret") {
				t.Errorf("got %q, want what to mount", panicked)
			}
		})
	}
}

func TestBridge_unused(t *testing.T) {
	resp := bridged(t).request(func(*gin.Context) {})
	if got := resp.Header.Get("Vary"); got != "" {
		t.Errorf("got Vary: %s, but the session is not used", got)
	}
}

// TestBridge_names tests what replaces sessions.SessionsMany.
func TestBridge_names(t *testing.T) {
	s := newScene(t, our(t, ginsession.WithContextKey("shop")),
		our(t, ginsession.WithName("__Host-prefs"), ginsession.WithContextKey("prefs")), gincontrib.Bridge("shop", "prefs"))
	s.request(func(c *gin.Context) {
		sessions.DefaultMany(c, "shop").Set("n", uint(1))
		sessions.DefaultMany(c, "prefs").Set("n", uint(2))
	})
	s.request(func(c *gin.Context) {
		shop, prefs := sessions.DefaultMany(c, "shop").Get("n"), sessions.DefaultMany(c, "prefs").Get("n")
		if shop != uint(1) || prefs != uint(2) {
			t.Errorf("got %v and %v, want 1 and 2", shop, prefs)
		}
	})
	if len(s.user.cookies) != 2 {
		t.Errorf("got %d cookies, want 2", len(s.user.cookies))
	}
}

// TestBridge_parallelRequests wants both changes of two requests that met.
func TestBridge_parallelRequests(t *testing.T) {
	s := bridged(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	s.theirs(func(session sessions.Session) { session.Set("a", line{"tea", 0}) })
	var loaded, done sync.WaitGroup
	loaded.Add(2)
	s.next = func(c *gin.Context) {
		session, key := sessions.Default(c), c.Query("key")
		if session.Get("a") == nil {
			t.Error("the session is not there")
		}
		loaded.Done()
		loaded.Wait()
		session.Set(key, line{key, 1})
		_ = session.Save()
	}
	for _, key := range []string{"a", "b"} {
		other := newUser(t, s.user.h)
		other.cookies = maps.Clone(s.user.cookies)
		done.Go(func() { other.send("/?key=" + key) })
	}
	done.Wait()
	s.theirs(func(session sessions.Session) {
		if a, b := session.Get("a"), session.Get("b"); a != (line{"a", 1}) || b != (line{"b", 1}) {
			t.Errorf("got %v and %v, want what both requests have set", a, b)
		}
	})
}

func TestSession_Delete(t *testing.T) {
	s := bridged(t)
	s.theirs(func(session sessions.Session) {
		session.Set("n", uint(1))
		session.Set(7, line{"tea", 1})
		session.Set("stays", "here")
	})
	s.theirs(func(session sessions.Session) {
		session.Delete("n")
		session.Delete(7)
		session.Delete("missing")
		session.Delete([]int{1})
	})
	s.ours(func(session *ginsession.Session) {
		if got := session.Keys(); !reflect.DeepEqual(got, []string{"stays"}) {
			t.Errorf("got %q, want the one key that was not deleted, and no notes", got)
		}
	})
}

func TestSession_Clear(t *testing.T) {
	s := bridged(t)
	s.theirs(func(session sessions.Session) {
		session.Set("n", uint(1))
		session.AddFlash("Saved")
	})
	s.theirs(func(session sessions.Session) { session.Clear() })
	if len(s.user.cookies) != 0 {
		t.Error("an empty session has a cookie")
	}
	if resp := s.theirs(func(session sessions.Session) { session.Clear() }); resp.Header.Get("Set-Cookie") != "" {
		t.Error("to clear a session that is not there sets a cookie")
	}
}

func TestSession_ID(t *testing.T) {
	s := bridged(t, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	s.theirs(func(session sessions.Session) { session.Set("a", 1) })
	s.request(func(c *gin.Context) {
		if got, want := sessions.Default(c).ID(), ginsession.From(c).ID(); got == "" || got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestSession_Save wants a change saved without Save, too, and after the response.
func TestSession_Save(t *testing.T) {
	s := bridged(t)
	s.request(func(c *gin.Context) {
		c.String(http.StatusOK, "done")
		sessions.Default(c).Set("a", 1)
	})
	s.theirs(func(session sessions.Session) {
		if got := session.Get("a"); got != 1 {
			t.Errorf("got %v, want 1", got)
		}
	})
}

// TestSession_Flashes runs on gin-contrib/sessions itself, too.
func TestSession_Flashes(t *testing.T) {
	scenes := map[string]*scene{
		"gin-contrib/sessions": newScene(t, sessions.Sessions("mysession", cookie.NewStore([]byte(secret)))),
		"bridge":               bridged(t),
	}
	for name, s := range scenes {
		t.Run(name, func(t *testing.T) {
			s.t = t
			want := func(what string, got []any, want ...any) {
				t.Helper()
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %#v, want %#v", what, got, want)
				}
			}
			s.theirs(func(session sessions.Session) {
				session.AddFlash("one")
				session.AddFlash("two", "_flash")
				session.AddFlash("no", "error")
				session.AddFlash(line{"tea", 1})
				session.AddFlash(uint(3))
				session.AddFlash(4)
				session.AddFlash([]string{"a"})
			})
			s.theirs(func(session sessions.Session) {
				want("with a key", session.Flashes("error"), "no")
				want("again", session.Flashes("error"))
				want("without a key", session.Flashes(), "one", "two", line{"tea", 1}, uint(3), 4, []string{"a"})
				want("again", session.Flashes("_flash"))
			})
			s.theirs(func(session sessions.Session) {
				want("later", session.Flashes())
				want("later, with a key", session.Flashes("error"))
				session.AddFlash("next")
			})
			s.theirs(func(session sessions.Session) { want("the next request's", session.Flashes(), "next") })
		})
	}
}

// TestSession_Flashes_otherSide shows what the handlers see that have moved.
func TestSession_Flashes_otherSide(t *testing.T) {
	s := bridged(t)
	s.theirs(func(session sessions.Session) {
		session.AddFlash("Saved")
		session.AddFlash("No", "error")
	})
	s.ours(func(session *ginsession.Session) {
		want := []ginsession.Flash{{Message: "Saved", Category: "message"}, {Message: "No", Category: "error"}}
		if got := session.Flashes(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		session.AddFlash("Hello", "")
		session.AddFlash("Yes", "error")
	})
	s.theirs(func(session sessions.Session) {
		if a, b := session.Flashes(), session.Flashes("error"); !reflect.DeepEqual(append(a, b...), []any{"Hello", "Yes"}) {
			t.Errorf("got %v and %v, want Hello and Yes", a, b)
		}
	})
}

func TestSession_Options(t *testing.T) {
	const month = 30 * 24 * 60 * 60
	s := bridged(t, ginsession.WithLifetime(month*time.Second))
	maxAge := func(resp *http.Response) int {
		t.Helper()
		cookies := resp.Cookies()
		if len(cookies) != 1 {
			t.Fatalf("got %d cookies, want 1", len(cookies))
		}
		return cookies[0].MaxAge
	}
	steps := []struct {
		name   string
		handle func(sessions.Session)
		want   int
	}{
		{"none", func(s sessions.Session) { s.Set("a", 1) }, 0},
		{"positive", func(s sessions.Session) { s.Options(sessions.Options{MaxAge: month}) }, month},
		{"cleared afterwards", func(s sessions.Session) {
			s.Options(sessions.Options{MaxAge: month})
			s.Clear()
			s.Set("a", 2)
		}, month},
		{"zero", func(s sessions.Session) { s.Options(sessions.Options{Path: "/"}) }, 0},
		{"negative", func(s sessions.Session) {
			s.Options(sessions.Options{MaxAge: -1})
			if s.Get("a") != 2 {
				t.Error("the session ends before Save")
			}
		}, -1},
	}
	for _, step := range steps {
		if got := maxAge(s.theirs(step.handle)); got != step.want {
			t.Errorf("%s: got a Max-Age of %d, want %d", step.name, got, step.want)
		}
	}
	s.theirs(func(session sessions.Session) {
		if got := session.Get("a"); got != nil {
			t.Errorf("after the end: got %v, want nil", got)
		}
	})
}

// TestSession_Options_lifetime wants a session ended as many seconds as MaxAge
// says after the last Save with Options, whatever the app's own limits are.
func TestSession_Options_lifetime(t *testing.T) {
	const hour = 3600
	lasting := func(seconds int) func(sessions.Session) {
		return func(s sessions.Session) { s.Set("n", seconds); s.Options(sessions.Options{MaxAge: seconds}) }
	}
	begin := func(s sessions.Session) { s.Set("n", 1) }
	again := func(s sessions.Session) { s.Options(sessions.Options{MaxAge: hour}) }
	plain := func(s sessions.Session) { s.Set("n", 2) }
	short := []ginsession.Option{ginsession.WithLifetime(time.Hour), ginsession.WithIdleTimeout(10 * time.Minute)}
	rows := []struct {
		name  string
		opts  []ginsession.Option
		steps []func(sessions.Session) // 9 minutes apart
		after time.Duration            // the last one
		want  error
	}{
		{"within", nil, []func(sessions.Session){lasting(hour)}, 59 * time.Minute, nil},
		{"over", nil, []func(sessions.Session){lasting(hour)}, 61 * time.Minute, ginsession.ErrExpired},
		{"longer than the app's", short, []func(sessions.Session){lasting(30 * 24 * hour)}, 29 * 24 * time.Hour, nil},
		{"shorter than the app's", nil, []func(sessions.Session){lasting(60)}, 2 * time.Minute, ginsession.ErrExpired},
		{"of a session that is not new", nil, []func(sessions.Session){begin, begin, lasting(hour)}, 59 * time.Minute, nil},
		{"and over", nil, []func(sessions.Session){begin, begin, lasting(hour)}, 61 * time.Minute, ginsession.ErrExpired},
		{"again", nil, []func(sessions.Session){lasting(hour), again, again}, 59 * time.Minute, nil},
		{"not again", nil, []func(sessions.Session){lasting(hour), plain, plain}, 59 * time.Minute, ginsession.ErrExpired},
		{"taken back", short, []func(sessions.Session){lasting(hour), lasting(0)}, 11 * time.Minute, ginsession.ErrExpired},
		{"for ever", nil, []func(sessions.Session){lasting(math.MaxInt)}, 10 * 365 * 24 * time.Hour, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := bridged(t, row.opts...)
				for i, step := range row.steps {
					time.Sleep(time.Duration(min(i, 1)) * 9 * time.Minute)
					s.theirs(step)
				}
				time.Sleep(row.after)
				s.ours(func(session *ginsession.Session) {
					if got := session.Rejected(); !errors.Is(got, row.want) || session.Has("n") != (row.want == nil) {
						t.Errorf("got %v and the keys %v, want %v", got, session.Keys(), row.want)
					}
				})
			})
		})
	}
}

func TestSession_Options_flask(t *testing.T) {
	s := bridged(t, ginsession.WithFlaskCookie())
	resp := s.request(func(c *gin.Context) {
		session := sessions.Default(c)
		session.Set("a", 1)
		session.Options(sessions.Options{MaxAge: 3600})
		if err := session.Save(); !errors.Is(err, ginsession.ErrValue) || !strings.Contains(err.Error(), "WithLifetime") {
			t.Errorf("got %v, want an ErrValue that names the option", err)
		}
	})
	if len(resp.Cookies()) != 0 {
		t.Errorf("got the cookies %v, want none", resp.Cookies())
	}
}

// TestSession_Options_save wants the session ended when Save returns.
func TestSession_Options_save(t *testing.T) {
	s := bridged(t)
	s.theirs(func(session sessions.Session) { session.Set("a", 1) })
	s.request(func(c *gin.Context) {
		session := sessions.Default(c)
		session.Options(sessions.Options{MaxAge: -1})
		if err := session.Save(); err != nil || ginsession.From(c).Has("a") {
			t.Errorf("got %v, and the session goes on", err)
		}
	})
}

// TestSession_Options_withoutSave logs out all the same.
func TestSession_Options_withoutSave(t *testing.T) {
	s := bridged(t)
	s.theirs(func(session sessions.Session) { session.Set("a", 1) })
	s.request(func(c *gin.Context) { sessions.Default(c).Options(sessions.Options{MaxAge: -1}) })
	if len(s.user.cookies) != 0 {
		t.Error("the cookie is there still")
	}
}

// TestSession_Options_warning wants one line in Gin's debug mode.
func TestSession_Options_warning(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	gin.SetMode(gin.DebugMode)
	gin.DebugPrintFunc = func(string, ...any) {}
	t.Cleanup(func() { slog.SetDefault(before); gin.SetMode(gin.TestMode); gin.DebugPrintFunc = nil })
	s := bridged(t, ginsession.WithLogger(nil))
	s.theirs(func(session sessions.Session) {
		session.Options(sessions.Options{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	})
	if log.Len() > 0 {
		t.Errorf("options that are the default: got %s", &log)
	}
	for range 2 {
		s.theirs(func(session sessions.Session) { session.Options(sessions.Options{Path: "/admin"}) })
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "are options of ginsession.New") {
		t.Errorf("got %q, want one line that says where the path belongs", got)
	}
}

type unregistered struct{ Name string }

func init() {
	gob.Register(&node{})
	gob.Register(stubborn{})
	gob.Register(panicking{})
}

type node struct {
	Name string
	Next *node
}

func cycle() *node {
	n := &node{Name: "hidden"}
	n.Next = n
	return n
}

type stubborn struct{ Password string }

func (s stubborn) GobEncode() ([]byte, error) { return nil, errors.New("no: " + s.Password) }
func (stubborn) GobDecode([]byte) error       { return nil }

type panicking struct{ Name string }

func (p panicking) GobEncode() ([]byte, error) { panic(p.Name) }
func (panicking) GobDecode([]byte) error       { return nil }

// TestSession_Set_badInput wants an error that says what to do, and the rest of
// the session intact.
func TestSession_Set_badInput(t *testing.T) {
	list, dict := []any{nil}, map[string]any{}
	list[0], dict["self"] = list, dict
	tests := []struct {
		name       string
		key, value any
		want       string
	}{
		{"nil", "bad", nil, `key "bad": nil cannot be stored; use Delete`},
		{"not registered", "bad", unregistered{"hidden"}, `key "bad": gob: type not registered for interface: gincontrib_test.unregistered: call gob.Register`},
		{"list of what is not registered", "bad", []unregistered{{"hidden"}}, "type not registered"},
		{"channel", "bad", make(chan int), "gob: "},
		{"function", "bad", func() {}, "gob: "},
		{"nil pointer", "bad", (*line)(nil), "gob: "},
		{"method that fails", "bad", stubborn{"hidden"}, "a method of gincontrib_test.stubborn refuses"},
		{"method that panics", "bad", panicking{"hidden"}, "panics"},
		{"cycle of pointers", "bad", cycle(), "nested more than 500 deep, or a cycle"},
		{"cycle in a list", "bad", list, "nested more than 500 deep, or a cycle"},
		{"cycle in a map", "bad", dict, "nested more than 500 deep, or a cycle"},
		{"nil as key", nil, 1, "a key is not nil"},
		{"list as key", []int{1}, 1, "a key is a string, a number"},
		{"pointer as key", new(int), 1, "a key is a string, a number"},
	}
	for _, tt := range tests {
		for _, saved := range []bool{true, false} {
			s := bridged(t)
			s.theirs(func(session sessions.Session) { session.Set("good", "old") })
			resp := s.request(func(c *gin.Context) {
				session := sessions.Default(c)
				session.Set("good", "new")
				session.Set(tt.key, tt.value)
				session.Get(tt.key)
				if err := ginsession.From(c).Err(); !errors.Is(err, ginsession.ErrValue) {
					t.Errorf("%s: Err: got %v", tt.name, err)
				}
				if !saved {
					return
				}
				if err := session.Save(); !errors.Is(err, ginsession.ErrValue) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: Save: got %v, want %q", tt.name, err, tt.want)
				}
			})
			if want := map[bool]int{true: 200, false: 500}[saved]; resp.StatusCode != want {
				t.Errorf("%s, Save %v: got status %d, want %d", tt.name, saved, resp.StatusCode, want)
			}
			text := errors.Join(s.errors...)
			if !errors.Is(text, ginsession.ErrValue) || !strings.Contains(text.Error(), tt.want) || strings.Contains(text.Error(), "hidden") {
				t.Errorf("%s, Save %v: c.Errors: got %v, want %q", tt.name, saved, text, tt.want)
			}
			s.theirs(func(session sessions.Session) {
				if got := session.Get("good"); got != "old" {
					t.Errorf("%s, Save %v: got %v, want what was stored before", tt.name, saved, got)
				}
			})
		}
	}
}

func TestSession_AddFlash_badInput(t *testing.T) {
	for _, value := range []any{nil, unregistered{}, make(chan int)} {
		s := bridged(t)
		resp := s.request(func(c *gin.Context) { sessions.Default(c).AddFlash(value) })
		if err := errors.Join(s.errors...); resp.StatusCode != 500 || !errors.Is(err, ginsession.ErrValue) {
			t.Errorf("%T: got status %d and %v", value, resp.StatusCode, err)
		}
	}
}

// TestSession_Get_damaged reads what a type of another version of the app has left.
func TestSession_Get_damaged(t *testing.T) {
	s := bridged(t)
	s.ours(func(session *ginsession.Session) {
		session.Set("bad", []byte("no gob"))
		session.Set("gincontrib:bad", "gob")
		session.Set("good", 1)
		session.AddFlash(map[string]any{"gincontrib:gob": []byte("no gob")}, "")
	})
	s.theirs(func(session sessions.Session) {
		if bad, good := session.Get("bad"), session.Get("good"); bad != nil || good != 1 {
			t.Errorf("got %v and %v, want nil and 1", bad, good)
		}
		if got := session.Flashes(); got != nil {
			t.Errorf("got %v, want no message", got)
		}
	})
	if len(s.errors) != 2 || !errors.Is(s.errors[0], ginsession.ErrValue) {
		t.Errorf("got %v, want two errors", s.errors)
	}
}

// TestSession_goroutines is for the race detector.
func TestSession_goroutines(t *testing.T) {
	s := bridged(t)
	s.request(func(c *gin.Context) {
		session := sessions.Default(c)
		var done sync.WaitGroup
		for _, use := range []func(){
			func() { session.Set("n", uint(1)) },
			func() { session.Get("n") },
			func() { session.Set(nil, nil) },
			func() { session.AddFlash("hello", "a") },
			func() { session.Flashes("a") },
			func() { session.Options(sessions.Options{MaxAge: 1}) },
			func() { _ = session.Save() },
			func() { session.Delete("n") },
		} {
			for range 2 {
				done.Go(func() {
					for range 20 {
						use()
					}
				})
			}
		}
		done.Wait()
		_ = session.Save()
	})
	if len(s.errors) < 40 {
		t.Errorf("got %d errors, want 40", len(s.errors))
	}
}

func TestSession_storeDown(t *testing.T) {
	server := memcachedtest.Start(t)
	s := bridged(t, ginsession.WithMemcached(server.Addr))
	s.theirs(func(session sessions.Session) { session.Set("a", 1) })
	server.Kill()
	resp := s.request(func(c *gin.Context) { sessions.Default(c).Get("a") })
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", resp.StatusCode)
	}
}

func TestGet(t *testing.T) {
	s := bridged(t)
	s.theirs(func(session sessions.Session) {
		session.Set("theirs", line{"tea", 1})
		session.Set("n", uint(3))
	})
	s.ours(func(session *ginsession.Session) {
		session.Set("ours", line{"milk", 2})
		if v, ok := gincontrib.Get[line](session, "theirs"); !ok || v != (line{"tea", 1}) {
			t.Errorf("stored by the bridge: got %v, %v", v, ok)
		}
		if v, ok := gincontrib.Get[line](session, "ours"); !ok || v != (line{"milk", 2}) {
			t.Errorf("stored by the session: got %v, %v", v, ok)
		}
		if v, ok := gincontrib.Get[int](session, "n"); !ok || v != 3 {
			t.Errorf("a number of another type: got %v, %v", v, ok)
		}
		if v, ok := gincontrib.Get[string](session, "theirs"); ok {
			t.Errorf("another type: got %v", v)
		}
		if v, ok := gincontrib.Get[line](session, "missing"); ok {
			t.Errorf("missing: got %v", v)
		}
	})
}
