package ginsession_test

import (
	"encoding/base64"
	"errors"
	"html/template"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
)

// flaskSecret is that of the Flask app that is gone.
const flaskSecret = "Flask's old secret"

const expiredFlask = "session=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"

// eachStorage runs a test where a session can move to: the encrypted cookie,
// Memcached, and both under the very name that Flask's cookie has.
func eachStorage(t *testing.T, fn func(t *testing.T, name string, opts ...ginsession.Option)) {
	migration := ginsession.WithFlaskMigration(flaskSecret, "the one before it, for years")
	insecure := ginsession.WithInsecureCookie()
	t.Run("cookie", func(t *testing.T) { fn(t, "__Host-session", migration) })
	t.Run("cookie of the same name", func(t *testing.T) { fn(t, "session", migration, insecure) })
	t.Run("memcached", func(t *testing.T) {
		fn(t, "__Host-session", migration, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	})
	t.Run("memcached, same name", func(t *testing.T) {
		fn(t, "session", migration, insecure, ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	})
}

// bring puts a Flask cookie into the browser.
func (v *visitor) bring(json string) string {
	value := ginsession.SignFlask(flaskSecret, json, time.Now())
	v.cookies["session"] = &http.Cookie{Name: "session", Value: value}
	return value
}

const flaskUser = `{"_flashes":[{" t":["error",{" m":"<b>"}]},{" t":[5,"x"]}],"_permanent":true,"n":NaN,` +
	`"t":{" t":[1,{" u":"12345678123456781234567812345678"}]},"user":"Zo\u00eb","\ud800":1}`

func TestFlaskMigration_takesOverOnce(t *testing.T) {
	eachStorage(t, func(t *testing.T, name string, opts ...ginsession.Option) {
		v := newVisitor(t, opts...)
		old := v.bring(flaskUser)
		w := v.visit(func(s *ginsession.Session) {
			if s.GetString("user") != "Zoë" || s.IsNew() || s.Rejected() != nil || !s.Permanent() {
				t.Errorf("got %v, new %t, rejected %v, permanent %t", s.Keys(), s.IsNew(), s.Rejected(), s.Permanent())
			}
			if s.Modified() {
				t.Error("modified, though the handler has only read")
			}
		})
		lines := w.Header()["Set-Cookie"]
		wantLines := 2
		if name == "session" {
			wantLines = 1
		}
		if len(lines) != wantLines || wantLines == 2 && !slices.Contains(lines, expiredFlask) {
			t.Errorf("got %q", lines)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Vary") != "Cookie" {
			t.Errorf("got %v", w.Header())
		}
		if k := v.cookies[name]; k == nil || k.Value == old || len(v.cookies) != 1 {
			t.Fatalf("got %v", v.cookies)
		}

		unwritten(t, "the next visit", v.visit(func(s *ginsession.Session) {
			if got := s.Get("t"); !reflect.DeepEqual(got, []any{int64(1), "12345678-1234-5678-1234-567812345678"}) {
				t.Errorf("got %v", got)
			}
			if n, ok := s.Get("n").(float64); !ok || !math.IsNaN(n) || !s.Has("\xed\xa0\x80") || !s.Permanent() {
				t.Errorf("got %v", s.Keys())
			}
		}))
		v.visit(func(s *ginsession.Session) {
			want := []ginsession.Flash{{Message: template.HTML("<b>"), Category: "error"}, {Message: "x", Category: "5"}}
			if got := s.Flashes(); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
		v.visit(func(s *ginsession.Session) {
			if got := s.Flashes(); got != nil {
				t.Errorf("shown twice: %v", got)
			}
		})
	})
}

func TestFlaskMigration_untouchedIsLeftAlone(t *testing.T) {
	eachStorage(t, func(t *testing.T, _ string, opts ...ginsession.Option) {
		v := newVisitor(t, opts...)
		v.bring(flaskUser)
		if w := v.visit(func(*ginsession.Session) {}); len(w.Header()) != 0 {
			t.Errorf("got %v", w.Header())
		}
	})
}

func TestFlaskMigration_changesInTheSameRequest(t *testing.T) {
	eachStorage(t, func(t *testing.T, name string, opts ...ginsession.Option) {
		for what, tt := range map[string]struct {
			fn   func(*ginsession.Session)
			want map[string]any
		}{
			"set":               {func(s *ginsession.Session) { s.Set("b", 2) }, map[string]any{"a": int64(1), "b": int64(2)}},
			"renew":             {func(s *ginsession.Session) { s.Renew() }, map[string]any{"a": int64(1)}},
			"save":              {func(s *ginsession.Session) { s.Len(); _ = s.Save() }, map[string]any{"a": int64(1)}},
			"save twice":        {func(s *ginsession.Session) { s.Len(); _ = s.Save(); s.Set("a", 2); _ = s.Save() }, map[string]any{"a": int64(2)}},
			"pop":               {func(s *ginsession.Session) { s.Pop("a") }, nil},
			"clear":             {func(s *ginsession.Session) { s.Clear() }, nil},
			"clear, then set":   {func(s *ginsession.Session) { s.Clear(); s.Set("b", 2) }, map[string]any{"b": int64(2)}},
			"destroy":           {func(s *ginsession.Session) { s.Destroy() }, nil},
			"destroy, then set": {func(s *ginsession.Session) { s.Destroy(); s.Set("b", 2) }, map[string]any{"b": int64(2)}},
			"save, then clear":  {func(s *ginsession.Session) { s.Len(); _ = s.Save(); s.Clear() }, nil},
		} {
			v := newVisitor(t, opts...)
			v.bring(`{"a":1}`)
			v.visit(tt.fn)
			if v.errors != nil {
				t.Errorf("%s: %v", what, v.errors)
			}
			if name != "session" && v.cookies["session"] != nil || len(v.cookies) > 1 || tt.want == nil && len(v.cookies) > 0 {
				t.Errorf("%s: the browser keeps %v", what, slices.Sorted(maps.Keys(v.cookies)))
			}
			if got := v.content(); len(got)+len(tt.want) > 0 && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s: got %v, want %v", what, got, tt.want)
			}
		}
	})
}

func TestFlaskMigration_ownCookieWins(t *testing.T) {
	eachStorage(t, func(t *testing.T, name string, opts ...ginsession.Option) {
		if name == "session" {
			t.Skip("a browser has one cookie of a name")
		}
		v := newVisitor(t, opts...)
		v.set("a", "own")
		v.bring(`{"a":"Flask's"}`)
		unwritten(t, "reading", v.visit(func(s *ginsession.Session) {
			if got := s.GetString("a"); got != "own" {
				t.Errorf("got %q", got)
			}
		}))

		// Logging out must not fall back to what Flask's cookie says.
		v.visit(func(s *ginsession.Session) { s.Destroy() })
		if len(v.cookies) != 0 {
			t.Errorf("after Destroy the browser keeps %v", slices.Sorted(maps.Keys(v.cookies)))
		}
		if got := v.content(); len(got) != 0 {
			t.Errorf("after Destroy: %v", got)
		}
	})
}

// A cookie called "session" that is no Flask cookie is somebody else's.
func TestFlaskMigration_leavesOthersCookies(t *testing.T) {
	eachStorage(t, func(t *testing.T, name string, opts ...ginsession.Option) {
		if name == "session" {
			t.Skip("it would be ours")
		}
		v := newVisitor(t, opts...)
		v.cookies["session"] = &http.Cookie{Name: "session", Value: "of another app"}
		v.set("a", 1)
		v.visit(func(s *ginsession.Session) { s.Destroy() })
		if k := v.cookies["session"]; k == nil || k.Value != "of another app" {
			t.Errorf("got %v", v.cookies)
		}
	})
}

func TestFlaskMigration_refuses(t *testing.T) {
	now := time.Now()
	good := ginsession.SignFlask(flaskSecret, `{"a":1}`, now)
	eachStorage(t, func(t *testing.T, name string, opts ...ginsession.Option) {
		for what, cookie := range map[string]string{
			"forged":         ginsession.SignFlask("another secret of Flask", `{"a":1}`, now),
			"our own secret": ginsession.SignFlask(secret, `{"a":1}`, now),
			"damaged":        good[:len(good)-2] + "xx",
			"too old":        ginsession.SignFlask(flaskSecret, `{"a":1}`, now.Add(-32*24*time.Hour)),
			"ahead":          ginsession.SignFlask(flaskSecret, `{"a":1}`, now.Add(time.Hour)),
			"no session":     ginsession.SignFlask(flaskSecret, `[1]`, now),
			"too long":       ginsession.SignFlask(flaskSecret, `{"a":"`+base64.StdEncoding.EncodeToString(noise(5000))+`"}`, now),
			"nonsense":       "nonsense",
		} {
			v := newVisitor(t, opts...)
			v.cookies["session"] = &http.Cookie{Name: "session", Value: cookie}
			unwritten(t, what, v.visit(func(s *ginsession.Session) {
				if s.Len() != 0 || !s.IsNew() || s.Err() != nil {
					t.Errorf("%s: got %v, new %t, %v", what, s.Keys(), s.IsNew(), s.Err())
				}
				if name == "session" && !errors.Is(s.Rejected(), ginsession.ErrInvalid) {
					t.Errorf("%s: rejected is %v", what, s.Rejected())
				}
			}))
			v.set("b", 2)
			if got := v.content(); !reflect.DeepEqual(got, map[string]any{"b": int64(2)}) {
				t.Errorf("%s, then set: got %v", what, got)
			}
		}
		v := newVisitor(t, opts...)
		v.cookies["session"] = &http.Cookie{Name: "session", Value: ginsession.SignFlask("the one before it, for years", `{"a":1}`, now)}
		if got := v.content(); !reflect.DeepEqual(got, map[string]any{"a": int64(1)}) {
			t.Errorf("a previous secret: got %v", got)
		}
	})
}

func TestFlaskMigration_emptySession(t *testing.T) {
	eachStorage(t, func(t *testing.T, _ string, opts ...ginsession.Option) {
		v := newVisitor(t, opts...)
		v.bring(`{"_permanent":true}`)
		v.visit(func(s *ginsession.Session) {
			if !s.IsNew() || s.Len() != 0 {
				t.Errorf("new %t, %v", s.IsNew(), s.Keys())
			}
		})
		if len(v.cookies) != 0 {
			t.Errorf("got %v", v.cookies)
		}
	})
}

func TestFlaskMigration_afterTheHeadersHaveLeft(t *testing.T) {
	eachStorage(t, func(t *testing.T, name string, opts ...ginsession.Option) {
		var errs, reported []error
		r := gin.New()
		r.Use(func(c *gin.Context) {
			c.Next()
			for _, err := range c.Errors {
				reported = append(reported, err.Err)
			}
		}, mustNew(t, secret, opts...))
		r.Use(func(c *gin.Context) {
			c.Next()
			c.Writer.Flush()
			s := ginsession.From(c)
			if s.GetInt("a") != 1 {
				t.Errorf("got %v", s.Keys())
			}
			if c.Query("set") != "" {
				s.Set("b", 2)
				errs = append(errs, s.Save())
			}
		})
		r.GET("/", func(c *gin.Context) {
			if c.Query("read") != "" {
				ginsession.From(c).Len()
			}
			c.String(http.StatusOK, "x")
		})
		b := newBrowser(r)
		value := ginsession.SignFlask(flaskSecret, `{"a":1}`, time.Now())
		b.cookies["session"] = &http.Cookie{Name: "session", Value: value}

		if w := b.get("/"); w.Code != http.StatusOK || len(w.Result().Cookies()) != 0 || reported != nil {
			t.Errorf("got %d, %v, %v", w.Code, w.Header(), reported)
		}
		if b.get("/?set=1"); len(errs) != 1 || !errors.Is(errs[0], ginsession.ErrLate) {
			t.Errorf("a late change: got %v", errs)
		}
		if b.cookies["session"].Value != value {
			t.Errorf("the Flask cookie is gone: %v", b.cookies)
		}
		if b.get("/?read=1"); b.cookies[name] == nil || b.cookies[name].Value == value {
			t.Errorf("looked at in time: got %v", b.cookies)
		}
	})
}

// Flask compresses and the encrypted cookie does not.
func TestFlaskMigration_tooLargeForTheEncryptedCookie(t *testing.T) {
	v := newVisitor(t, ginsession.WithFlaskMigration(flaskSecret))
	value := v.bring(`{"a":1,"text":"` + strings.Repeat("x", 5000) + `"}`)
	unwritten(t, "only read", v.visit(func(s *ginsession.Session) {
		if s.GetInt("a") != 1 || len(s.GetString("text")) != 5000 {
			t.Errorf("got %v", s.Keys())
		}
	}))
	w := v.set("b", 1)
	if w.Code != http.StatusInternalServerError || v.cookies["session"].Value != value {
		t.Errorf("changed: got %d, %v", w.Code, v.cookies)
	}
	wantOneError(t, "changed", v.errors, ginsession.ErrTooLarge)
	v.visit(func(s *ginsession.Session) { s.Delete("text") })
	if len(v.cookies) != 1 || v.cookies["__Host-session"] == nil {
		t.Errorf("made to fit: got %v", v.cookies)
	}
}

func TestFlaskMigration_storeIsDown(t *testing.T) {
	server := memcachedtest.Start(t)
	v := newVisitor(t, ginsession.WithFlaskMigration(flaskSecret), ginsession.WithMemcached(server.Addr))
	server.Kill()
	value := v.bring(`{"a":1}`)
	for what, fn := range map[string]func(*ginsession.Session){
		"read": func(s *ginsession.Session) { s.Len() },
		"set":  func(s *ginsession.Session) { s.Set("a", 2) },
	} {
		if w := v.visit(fn); w.Code != http.StatusServiceUnavailable || len(w.Result().Cookies()) != 0 {
			t.Errorf("%s: got %d, %v", what, w.Code, w.Header())
		}
	}
	if v.cookies["session"].Value != value {
		t.Error("the Flask cookie is gone")
	}
	server.Restart()
	time.Sleep(600 * time.Millisecond) // a server that was down is left alone for a moment
	if got := v.content(); !reflect.DeepEqual(got, map[string]any{"a": int64(1)}) {
		t.Errorf("back again: got %v", got)
	}
}

func TestFlaskMigration_logOutWithoutTheStore(t *testing.T) {
	server := memcachedtest.Start(t)
	v := newVisitor(t, ginsession.WithFlaskMigration(flaskSecret), ginsession.WithMemcached(server.Addr))
	v.set("a", "own")
	v.bring(`{"a":1}`)
	server.Kill()
	if w := v.visit(func(s *ginsession.Session) { s.Destroy() }); w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", w.Code)
	}
	if len(v.cookies) != 0 {
		t.Errorf("the browser keeps %v", slices.Sorted(maps.Keys(v.cookies)))
	}
}

// A session that another request has ended is not begun again from Flask's
// cookie.
func TestFlaskMigration_notInPlaceOfAnEndedSession(t *testing.T) {
	v := newVisitor(t, ginsession.WithFlaskMigration(flaskSecret), ginsession.WithMemcached(memcachedtest.Start(t).Addr))
	v.set("a", "own")
	own := *v.cookies["__Host-session"]
	v.visit(func(s *ginsession.Session) { s.Destroy() })
	v.cookies["__Host-session"] = &own
	v.bring(`{"a":1}`)
	v.visit(func(s *ginsession.Session) {
		if !errors.Is(s.Rejected(), ginsession.ErrUnknown) || s.Len() != 0 {
			t.Errorf("got %v, %v", s.Rejected(), s.Keys())
		}
	})
}

func TestNew_flaskMistakes(t *testing.T) {
	const s15, s16 = "secret-of-15-by", "secret-of-16-byt"
	flask := ginsession.WithFlaskCookie()
	for _, tt := range []struct {
		name   string
		secret string
		opts   []ginsession.Option
		want   []string // the options in the mistakes
	}{
		{"cookie", secret, []ginsession.Option{flask}, nil},
		{"cookie, 16 bytes", s16, []ginsession.Option{flask}, nil},
		{"cookie, 15 bytes", s15, []ginsession.Option{flask}, []string{"secret"}},
		{"15 runes of 16 bytes", s15[:14] + "é", []ginsession.Option{flask}, nil},
		{"16 bytes without Flask", s16, nil, []string{"secret"}},
		{"previous, 16 bytes", s16, []ginsession.Option{flask, ginsession.WithPreviousSecrets(s16)}, nil},
		{"previous, 15 bytes", s16, []ginsession.Option{flask, ginsession.WithPreviousSecrets(s16, s15)}, []string{"WithPreviousSecrets"}},
		{"lifetime and name", s16, []ginsession.Option{flask, ginsession.WithLifetime(time.Hour), ginsession.WithName("x")}, nil},
		{"memcached", secret, []ginsession.Option{flask, ginsession.WithMemcached("127.0.0.1:1")}, []string{"WithFlaskCookie"}},
		{"memcached first", secret, []ginsession.Option{ginsession.WithMemcached("127.0.0.1:1"), flask}, []string{"WithFlaskCookie"}},
		{"store", secret, []ginsession.Option{flask, ginsession.WithStore(struct{ ginsession.Store }{})}, []string{"WithFlaskCookie"}},
		{"idle timeout", secret, []ginsession.Option{flask, ginsession.WithIdleTimeout(time.Hour)}, []string{"WithIdleTimeout"}},
		{"migration", secret, []ginsession.Option{ginsession.WithFlaskMigration(s16, s16)}, nil},
		{"migration, with idle timeout", secret, []ginsession.Option{ginsession.WithFlaskMigration(s16), ginsession.WithIdleTimeout(time.Hour)}, nil},
		{"migration, 15 bytes", secret, []ginsession.Option{ginsession.WithFlaskMigration(s15)}, []string{"WithFlaskMigration"}},
		{"migration, empty", secret, []ginsession.Option{ginsession.WithFlaskMigration("")}, []string{"WithFlaskMigration"}},
		{"migration, previous, 15 bytes", secret, []ginsession.Option{ginsession.WithFlaskMigration(s16, s16, s15)}, []string{"WithFlaskMigration"}},
		{"migration with a short secret of ours", s16, []ginsession.Option{ginsession.WithFlaskMigration(s16)}, []string{"secret"}},
		{"both", secret, []ginsession.Option{flask, ginsession.WithFlaskMigration(s16)}, []string{"WithFlaskMigration"}},
		{"all at once", s15, []ginsession.Option{
			flask, ginsession.WithPreviousSecrets(s15), ginsession.WithFlaskMigration(s15),
			ginsession.WithMemcached("127.0.0.1:1"), ginsession.WithIdleTimeout(time.Hour),
		}, []string{"WithFlaskCookie", "WithFlaskMigration", "WithFlaskMigration", "WithIdleTimeout", "WithPreviousSecrets", "secret"}},
	} {
		_, err := ginsession.New(tt.secret, tt.opts...)
		var got []string
		if err != nil {
			if strings.Contains(err.Error(), s15[:14]) {
				t.Errorf("%s: the error shows a secret: %v", tt.name, err)
			}
			for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
				var mistake *ginsession.ConfigError
				if !errors.As(one, &mistake) {
					t.Fatalf("%s: got %T", tt.name, one)
				}
				got = append(got, mistake.Option)
			}
		}
		if slices.Sort(got); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v (%v), want %v", tt.name, got, err, tt.want)
		}
	}
}

// The path and domain of the Flask cookie are those of the options.
func TestFlaskMigration_expiresUnderPathAndDomain(t *testing.T) {
	r := newEngine(t, ginsession.WithFlaskMigration(flaskSecret), ginsession.WithDomain("example.com"),
		ginsession.WithPath("/app"), ginsession.WithName("__Secure-app"))
	r.GET("/app", func(c *gin.Context) { ginsession.From(c).Len() })
	req := httptest.NewRequest(http.MethodGet, "/app", nil)
	req.AddCookie(&http.Cookie{Name: "session", Value: ginsession.SignFlask(flaskSecret, `{"a":1}`, time.Now())})
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	const want = "session=; Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
	if lines := w.Header()["Set-Cookie"]; len(lines) != 2 || !slices.Contains(lines, want) {
		t.Errorf("got %q", lines)
	}
}
