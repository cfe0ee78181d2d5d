package ginsession_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// mistakes lists the options that New complains about, in its order.
func mistakes(t *testing.T, err error) (options []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %T, want joined errors", err)
	}
	for _, one := range joined.Unwrap() {
		var mistake *ginsession.ConfigError
		if !errors.As(one, &mistake) {
			t.Fatalf("got %T, want a *ConfigError: %v", one, one)
		}
		if mistake.Reason == "" || strings.HasSuffix(mistake.Reason, ": ") || !strings.Contains(one.Error(), mistake.Option) || !strings.Contains(one.Error(), mistake.Reason) {
			t.Errorf("%q does not name option and reason", one)
		}
		options = append(options, mistake.Option)
	}
	return options
}

type options = []ginsession.Option

func TestNew_mistakes(t *testing.T) {
	const long = "x12345678901234567890123456789012345678901234567890123456789012345"
	insecure, script := ginsession.WithInsecureCookie(), ginsession.WithScriptAccess()
	rows := []struct {
		name string
		opts options
		want []string
	}{
		{"none", nil, nil},
		{"nil option", options{nil}, []string{"options"}},
		{"two nil options", options{nil, insecure, nil}, []string{"options", "options"}},
		{"name empty", options{ginsession.WithName("")}, []string{"WithName"}},
		{"name with space", options{ginsession.WithName("a b")}, []string{"WithName"}},
		{"name with =", options{ginsession.WithName("a=b")}, []string{"WithName"}},
		{"name with ;", options{ginsession.WithName("a;b")}, []string{"WithName"}},
		{"name with newline", options{ginsession.WithName("a\r\nb")}, []string{"WithName"}},
		{"name with umlaut", options{ginsession.WithName("ä")}, []string{"WithName"}},
		{"name of DEL", options{ginsession.WithName("\x7f")}, []string{"WithName"}},
		{"name of 256", options{ginsession.WithName(strings.Repeat("n", 256))}, nil},
		{"name of 257", options{ginsession.WithName(strings.Repeat("n", 257))}, []string{"WithName"}},
		{"name of all marks", options{ginsession.WithName("!#$%&'*+-.^_`|~aZ09")}, nil},
		{"path empty", options{ginsession.WithPath("")}, []string{"WithPath"}},
		{"path relative", options{ginsession.WithPath("app")}, []string{"WithPath"}},
		{"path with ;", options{ginsession.WithPath("/a;b")}, []string{"WithPath"}},
		{"path with newline", options{ginsession.WithPath("/a\nb")}, []string{"WithPath"}},
		{"path with umlaut", options{ginsession.WithPath("/ä")}, []string{"WithPath"}},
		{"path of 1024", options{ginsession.WithPath("/" + strings.Repeat("a", 1023))}, nil},
		{"path of 1025", options{ginsession.WithPath("/" + strings.Repeat("a", 1024))}, []string{"WithPath"}},
		{"domain", options{ginsession.WithDomain("sub.example.com")}, nil},
		{"domain with dot", options{ginsession.WithDomain(".example.com")}, []string{"WithDomain"}},
		{"domain with port", options{ginsession.WithDomain("example.com:80")}, []string{"WithDomain"}},
		{"domain with ;", options{ginsession.WithDomain("example.com; Secure")}, []string{"WithDomain"}},
		{"domain with newline", options{ginsession.WithDomain("example.com\n")}, []string{"WithDomain"}},
		{"domain with long label", options{ginsession.WithDomain(long + ".com")}, []string{"WithDomain"}},
		{"same site 0", options{ginsession.WithSameSite(0)}, []string{"WithSameSite"}},
		{"same site 5", options{ginsession.WithSameSite(5)}, []string{"WithSameSite"}},
		{"same site none, insecure", options{ginsession.WithSameSite(http.SameSiteNoneMode), insecure}, []string{"WithSameSite"}},
		{"same site strict, insecure", options{ginsession.WithSameSite(http.SameSiteStrictMode), insecure}, nil},
		{"partitioned, insecure", options{ginsession.WithPartitioned(), insecure}, []string{"WithPartitioned"}},
		{"lifetime 0", options{ginsession.WithLifetime(0)}, []string{"WithLifetime"}},
		{"lifetime -1", options{ginsession.WithLifetime(-1)}, []string{"WithLifetime"}},
		{"lifetime 10ms", options{ginsession.WithLifetime(10 * time.Millisecond)}, nil},
		{"lifetime of a month without a unit", options{ginsession.WithLifetime(31 * 24 * 3600)}, []string{"WithLifetime"}},
		{"idle of an hour without a unit", options{ginsession.WithIdleTimeout(3600)}, []string{"WithIdleTimeout"}},
		{"lifetime longest", options{ginsession.WithLifetime(math.MaxInt64)}, nil},
		{"idle -1", options{ginsession.WithIdleTimeout(-1)}, []string{"WithIdleTimeout"}},
		{"idle 0", options{ginsession.WithIdleTimeout(0)}, nil},
		{"idle as long as lifetime", options{ginsession.WithIdleTimeout(time.Hour), ginsession.WithLifetime(time.Hour)}, nil},
		{"idle longer than lifetime", options{ginsession.WithIdleTimeout(time.Hour + 1), ginsession.WithLifetime(time.Hour)}, []string{"WithIdleTimeout"}},
		{"idle longer than default", options{ginsession.WithIdleTimeout(32 * 24 * time.Hour)}, []string{"WithIdleTimeout"}},
		{"context key empty", options{ginsession.WithContextKey("")}, []string{"WithContextKey"}},
		{"previous secret short", options{ginsession.WithPreviousSecrets(otherSecret, "short")}, []string{"WithPreviousSecrets"}},
		{"previous secrets short", options{ginsession.WithPreviousSecrets("", "short")}, []string{"WithPreviousSecrets", "WithPreviousSecrets"}},
		{"no previous secrets", options{ginsession.WithPreviousSecrets()}, nil},
		{"__Host- insecure", options{ginsession.WithName("__Host-x"), insecure}, []string{"WithName"}},
		{"__Host- with path", options{ginsession.WithName("__Host-x"), ginsession.WithPath("/a")}, []string{"WithName"}},
		{"__Host- with domain", options{ginsession.WithName("__Host-x"), ginsession.WithDomain("a.com")}, []string{"WithName"}},
		{"__Host- with all", options{ginsession.WithName("__Host-x"), insecure, ginsession.WithPath("/a"), ginsession.WithDomain("a.com")}, []string{"WithName", "WithName", "WithName"}},
		{"__hOsT- insecure", options{ginsession.WithName("__hOsT-x"), insecure}, []string{"WithName"}},
		{"__Host- with script", options{ginsession.WithName("__Host-x"), script}, nil},
		{"__Secure- insecure", options{ginsession.WithName("__Secure-x"), insecure}, []string{"WithName"}},
		{"__SECURE- insecure", options{ginsession.WithName("__SECURE-x"), insecure}, []string{"WithName"}},
		{"__Secure- with path and domain", options{ginsession.WithName("__Secure-x"), ginsession.WithPath("/a"), ginsession.WithDomain("a.com")}, nil},
		{"__Http- with script", options{ginsession.WithName("__Http-x"), script}, []string{"WithName"}},
		{"__http- insecure", options{ginsession.WithName("__http-x"), insecure}, []string{"WithName"}},
		{"__Http- with path", options{ginsession.WithName("__Http-x"), ginsession.WithPath("/a")}, nil},
		{"__Host-Http- with script", options{ginsession.WithName("__Host-Http-x"), script}, []string{"WithName"}},
		{"__host-http- with path", options{ginsession.WithName("__host-http-x"), ginsession.WithPath("/a")}, []string{"WithName"}},
		{"no prefix, all open", options{ginsession.WithName("x"), insecure, script, ginsession.WithPath("/a"), ginsession.WithDomain("a.com")}, nil},
		{"__Host without -", options{ginsession.WithName("__Host"), insecure}, nil},
		{"flask cookie, idle timeout", options{ginsession.WithFlaskCookie(), ginsession.WithIdleTimeout(time.Hour)}, []string{"WithIdleTimeout"}},
		{"flask cookie, store", options{ginsession.WithFlaskCookie(), ginsession.WithStore(apptest.NewStore())}, []string{"WithFlaskCookie"}},
		{"flask cookie, migration", options{ginsession.WithFlaskCookie(), ginsession.WithFlaskMigration(otherSecret)}, []string{"WithFlaskMigration"}},
		{"cookie migration, store", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithCookieMigration(secret, otherSecret)}, nil},
		{"cookie migration, memcached", options{ginsession.WithCookieMigration(secret), ginsession.WithMemcached("127.0.0.1:1")}, nil},
		{"cookie migration, flask migration", options{ginsession.WithCookieMigration(secret), ginsession.WithFlaskMigration(otherSecret), ginsession.WithStore(apptest.NewStore())}, nil},
		{"cookie migration, no store", options{ginsession.WithCookieMigration(secret)}, []string{"WithCookieMigration"}},
		{"cookie migration, flask cookie", options{ginsession.WithFlaskCookie(), ginsession.WithCookieMigration(secret)}, []string{"WithCookieMigration"}},
		{"cookie migration, flask cookie, short", options{ginsession.WithFlaskCookie(), ginsession.WithCookieMigration("secret-of-16-byt")}, []string{"WithCookieMigration", "WithCookieMigration"}},
		{"cookie migration, empty", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithCookieMigration("")}, []string{"WithCookieMigration"}},
		{"cookie migration, 31 bytes", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithCookieMigration(secret, secret[:31])}, []string{"WithCookieMigration"}},
		{"cookie migration, guessable", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithCookieMigration(strings.Repeat("x", 32))}, []string{"WithCookieMigration"}},
		{"two stores", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithMemcached("127.0.0.1:1")}, []string{"WithMemcached"}},
		{"key prefix of another store", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithKeyPrefix("x:")}, []string{"WithKeyPrefix"}},
		{"store timeout 0", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithStoreTimeout(0)}, []string{"WithStoreTimeout"}},
		{"store timeout -1s", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithStoreTimeout(-time.Second)}, []string{"WithStoreTimeout"}},
		{"store timeout of two without a unit", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithStoreTimeout(2)}, []string{"WithStoreTimeout"}},
		{"store timeout 10ms", options{ginsession.WithStore(apptest.NewStore()), ginsession.WithStoreTimeout(10 * time.Millisecond)}, nil},
		{"store timeout longest", options{ginsession.WithStoreTimeout(math.MaxInt64), ginsession.WithStore(apptest.NewStore())}, nil},
		{"store timeout, cookie", options{ginsession.WithStoreTimeout(time.Second)}, []string{"WithStoreTimeout"}},
		{"store timeout, flask cookie", options{ginsession.WithStoreTimeout(time.Second), ginsession.WithFlaskCookie()}, []string{"WithStoreTimeout"}},
		{"store timeout, memcached", options{ginsession.WithStoreTimeout(time.Second), ginsession.WithMemcached("127.0.0.1:1")}, []string{"WithStoreTimeout"}},
		{"store timeout, memcached client", options{ginsession.WithStoreTimeout(time.Second), ginsession.WithMemcachedClient(memcache.New("127.0.0.1:1"))}, []string{"WithStoreTimeout"}},
		{"response buffer -1", options{ginsession.WithResponseBuffer(-1)}, []string{"WithResponseBuffer"}},
		{"response buffer of more than 1 GiB", options{ginsession.WithResponseBuffer(1<<30 + 1)}, []string{"WithResponseBuffer"}},
		{"merge buffer -1", options{ginsession.WithMergeBuffer(-1)}, []string{"WithMergeBuffer"}},
		{"merge buffer, store", options{ginsession.WithMergeBuffer(0), ginsession.WithStore(apptest.NewStore())}, []string{"WithMergeBuffer"}},
		{"merge buffer, flask cookie", options{ginsession.WithMergeBuffer(0), ginsession.WithFlaskCookie()}, []string{"WithMergeBuffer"}},
		{"error handler nil", options{ginsession.WithErrorHandler(nil)}, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			h, err := ginsession.New(secret, row.opts...)
			if got := mistakes(t, err); !slices.Equal(got, row.want) || (h == nil) != (row.want != nil) {
				t.Errorf("got %q and a handler: %v, want %q", got, h != nil, row.want)
			}
		})
	}
}

func TestNew_allMistakesAtOnce(t *testing.T) {
	_, err := ginsession.New("short", nil,
		ginsession.WithPreviousSecrets("short too"), ginsession.WithName("a b"), ginsession.WithPath("x"), ginsession.WithDomain("!"), ginsession.WithSameSite(9),
		ginsession.WithLifetime(-1), ginsession.WithIdleTimeout(-2), ginsession.WithContextKey(""), ginsession.WithPartitioned(), ginsession.WithInsecureCookie())
	want := []string{"options", "secret", "WithPreviousSecrets", "WithName", "WithPath", "WithDomain", "WithSameSite", "WithLifetime", "WithIdleTimeout", "WithContextKey", "WithPartitioned"}
	if got := mistakes(t, err); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNew_secret(t *testing.T) {
	rows := []struct {
		name, secret string
		ok           bool
	}{
		{"empty", "", false}, {"31 bytes", strings.Repeat("xy", 16)[1:], false}, {"32 bytes", strings.Repeat("xy", 16), true},
		{"16 runes of 2 bytes", strings.Repeat("é", 16), true}, {"31 runes, 32 bytes", strings.Repeat("x", 30) + "é", true},
		{"10 runes of 3 bytes", strings.Repeat("€", 10), false}, {"not UTF-8", strings.Repeat("\xff\xfe", 16), true},
		{"32 equal bytes", strings.Repeat("x", 32), false}, {"100 equal bytes", strings.Repeat("x", 100), false},
		{"32 zero bytes", strings.Repeat("\x00", 32), false}, {"32 spaces", strings.Repeat(" ", 32), false},
		{"blanks", strings.Repeat(" \t\r\n", 8), false}, {"blanks around a secret", "        " + strings.Repeat("xy", 12), true},
	}
	for _, row := range rows {
		_, err := ginsession.New(row.secret)
		if got := mistakes(t, err); (got == nil) != row.ok || !row.ok && !slices.Equal(got, []string{"secret"}) {
			t.Errorf("%s: got %q, want it accepted: %v", row.name, got, row.ok)
		}
		_, err = ginsession.New(secret, ginsession.WithPreviousSecrets(row.secret))
		if got := mistakes(t, err); (got == nil) != row.ok || !row.ok && !slices.Equal(got, []string{"WithPreviousSecrets"}) {
			t.Errorf("%s, previous: got %q, want it accepted: %v", row.name, got, row.ok)
		}
	}
}

// TestNew_neverShowsASecret spoils everything around recognisable secrets.
func TestNew_neverShowsASecret(t *testing.T) {
	secrets := []string{"Recognisable-1", strings.Repeat("R", 40), "Recognisable-3-that-has-over-32-bytes", "Recognisable-4\nü\xff"}
	for _, first := range secrets {
		_, err := ginsession.New(first, nil, ginsession.WithPreviousSecrets(secrets...), ginsession.WithCookieMigration(first, secrets...), ginsession.WithName(" "), ginsession.WithPath(""), ginsession.WithContextKey(""))
		if err == nil {
			t.Fatal("got no error")
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%q", err), fmt.Sprintf("%v", mistakes(t, err))} {
			if strings.Contains(text, "Recognisable") || strings.Contains(text, "RRR") {
				t.Errorf("a secret shows in %s", text)
			}
		}
	}
}

func TestConfigError(t *testing.T) {
	_, err := ginsession.New(secret, ginsession.WithName("a b"))
	var mistake *ginsession.ConfigError
	if !errors.As(err, &mistake) || mistake.Option != "WithName" || !strings.Contains(mistake.Reason, `"a b"`) {
		t.Errorf("got %v, want a ConfigError that quotes the name", err)
	}
	if !strings.HasPrefix(err.Error(), "ginsession: WithName: ") {
		t.Errorf("got %q, want it to begin with package and option", err)
	}
}

// TestNew_warnsOfPlainHTTP: in debug mode, one line warns of a Secure cookie
// that leaves for a host where the browser drops it. Each row makes one visit
// that reads the session, and two that set the cookie.
func TestNew_warnsOfPlainHTTP(t *testing.T) {
	var b bytes.Buffer
	before, mode, out := slog.Default(), gin.Mode(), gin.DefaultWriter
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	gin.DefaultWriter = io.Discard
	defer func() { slog.SetDefault(before); gin.SetMode(mode); gin.DefaultWriter = out }()
	const plain = "http://app.test/"
	forwarded := func(proto string) http.Header { return http.Header{"X-Forwarded-Proto": {proto}} }
	insecure, off := options{ginsession.WithInsecureCookie()}, options{ginsession.WithLogger(nil)}
	rows := []struct {
		name, mode, url string
		header          http.Header
		opts            options
		want            int
	}{
		{"name", gin.DebugMode, plain, nil, nil, 1},
		{"name and port", gin.DebugMode, "http://app.test:8080/", nil, nil, 1},
		{"address", gin.DebugMode, "http://192.168.1.5:8080/", nil, nil, 1},
		{"address 6", gin.DebugMode, "http://[fd00::1]:8080/", nil, nil, 1},
		{"named like localhost", gin.DebugMode, "http://localhost.test/", nil, nil, 1},
		{"a proxy without TLS", gin.DebugMode, plain, forwarded("http"), nil, 1},
		{"store", gin.DebugMode, plain, nil, options{ginsession.WithStore(apptest.NewStore())}, 1},
		{"flask", gin.DebugMode, plain, nil, options{ginsession.WithFlaskCookie()}, 1},
		{"TLS", gin.DebugMode, "https://app.test/", nil, nil, 0},
		{"a proxy with TLS", gin.DebugMode, plain, forwarded("https"), nil, 0},
		{"localhost", gin.DebugMode, "http://localhost/", nil, nil, 0},
		{"localhost and port", gin.DebugMode, "http://localhost:8080/", nil, nil, 0},
		{"127.0.0.1", gin.DebugMode, "http://127.0.0.1:8080/", nil, nil, 0},
		{"::1", gin.DebugMode, "http://[::1]:8080/", nil, nil, 0},
		{"::1 without a port", gin.DebugMode, "http://[::1]/", nil, nil, 0},
		{"not Secure", gin.DebugMode, plain, nil, insecure, 0},
		{"no logger", gin.DebugMode, plain, nil, off, 0},
		{"release mode", gin.ReleaseMode, plain, nil, nil, 0},
		{"test mode", gin.TestMode, plain, nil, nil, 0},
	}
	for _, row := range rows {
		gin.SetMode(row.mode)
		r := apptest.New(t, row.opts...)
		b.Reset()
		for _, do := range []string{"get:a", "set:a=1", "set:a=1"} { // the first has nothing that a browser could drop
			req := httptest.NewRequest(http.MethodGet, row.url+"?do="+do, nil)
			maps.Copy(req.Header, row.header)
			w := httptest.NewRecorder()
			if r.ServeHTTP(w, req); do == "get:a" && b.Len() > 0 {
				t.Errorf("%s: got the warning %s without a cookie", row.name, &b)
			}
		}
		if got := strings.Count(b.String(), "level=WARN"); got != row.want {
			t.Errorf("%s: got %d warnings, want %d: %s", row.name, got, row.want, &b)
		}
	}
}

// TestNew_options: the last of one kind counts, and options keep no state
// between two middlewares, nor the slice that they were given.
func TestNew_options(t *testing.T) {
	previous := []string{otherSecret}
	opts := options{ginsession.WithName("first"), ginsession.WithPath("bad"), ginsession.WithPath("/"), ginsession.WithName("last"),
		ginsession.WithPreviousSecrets("short"), ginsession.WithPreviousSecrets(previous...)}
	previous[0] = "short"
	v := apptest.NewVisitor(t, opts...)
	if line := v.Set("who", "ann").Header().Get("Set-Cookie"); !strings.HasPrefix(line, "last=") {
		t.Errorf("got %q, want the last name", line)
	}
	v.Mount(t, opts...)
	wantValues(t, "the same options again", v, map[string]any{"who": "ann"})
	v.Handler = apptest.Mount(apptest.Middleware(t, otherSecret, ginsession.WithName("last")))
	v.Get("/?do=set:who=bob")
	v.Mount(t, opts...)
	wantValues(t, "sealed under the previous secret", v, map[string]any{"who": "bob"})
}

// TestWithResponseBuffer sets a key after a body: it is kept while the body is
// held back, and late once it has left.
func TestWithResponseBuffer(t *testing.T) {
	buffer := ginsession.WithResponseBuffer
	rows := []struct {
		name string
		opts options
		body int // bytes
		late bool
	}{
		{"default, one byte less than 256 KiB", nil, 256<<10 - 1, false},
		{"default, 256 KiB", nil, 256 << 10, true},
		{"1 MiB, 900 KiB", options{buffer(1 << 20)}, 900 << 10, false},
		{"0, 1", options{buffer(0)}, 1, true},
		{"the last one wins", options{buffer(0), buffer(10)}, 5, false},
	}
	for _, row := range rows {
		a := apptest.New(t, row.opts...)
		b := apptest.NewBrowser(a)
		w := a.Play(b, func(c *gin.Context) {
			c.String(http.StatusOK, strings.Repeat("x", row.body))
			ginsession.From(c).Set("a", "1")
		})
		late := len(w.Errors) == 1 && errors.Is(w.Errors[0], ginsession.ErrLate)
		kept := slices.Contains(b.Get("/?do=keys").Lines(), "a=1")
		if late != row.late || kept == late || !late && w.Errors != nil || w.Body.Len() != row.body {
			t.Errorf("%s: got %d bytes, %v, kept %v, want %d and ErrLate: %v", row.name, w.Body.Len(), w.Errors, kept, row.body, row.late)
		}
	}
}

func TestWithErrorHandler(t *testing.T) {
	var got error
	tests := []struct {
		name string
		opts options
		code int
		page string
	}{
		{"nil", options{ginsession.WithErrorHandler(nil)}, http.StatusInternalServerError, "Internal Server Error\n"},
		{"nil after another", options{ginsession.WithErrorHandler(func(c *gin.Context, _ error) { c.Status(http.StatusTeapot) }), ginsession.WithErrorHandler(nil)}, http.StatusInternalServerError, "Internal Server Error\n"},
		{"one that reads the session", options{ginsession.WithErrorHandler(func(c *gin.Context, err error) {
			got = err
			c.String(http.StatusTeapot, "sorry, %s", ginsession.From(c).GetString("name"))
		})}, http.StatusTeapot, "sorry, ann"},
	}
	for _, test := range tests {
		if w := apptest.NewVisitor(t, test.opts...).Set("name", "ann", "bad", make(chan int)); w.Code != test.code || w.Body.String() != test.page {
			t.Errorf("%s: got %d and %q, want %d and %q", test.name, w.Code, w.Body, test.code, test.page)
		}
	}
	if !errors.Is(got, ginsession.ErrValue) {
		t.Errorf("the handler got %v, want ErrValue", got)
	}
}

// TestWithContextKey has two sessions side by side.
func TestWithContextKey(t *testing.T) {
	a := apptest.Mount(apptest.Middleware(t, apptest.Secret), apptest.Middleware(t, apptest.Secret, ginsession.WithName("cart"), ginsession.WithContextKey("cart")))
	a.GET("/set", func(c *gin.Context) {
		ginsession.From(c).Set("who", "ann")
		c.MustGet("cart").(*session).Set("item", "tea")
	})
	a.GET("/get", func(c *gin.Context) {
		c.String(http.StatusOK, "%v %v", ginsession.From(c).Keys(), c.MustGet("cart").(*session).Keys())
	})
	b := apptest.NewBrowser(a)
	if lines := b.Get("/set").Header()["Set-Cookie"]; len(lines) != 2 {
		t.Errorf("got %q, want two cookies", lines)
	}
	if got, want := b.Get("/get").Body.String(), "[who] [item]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// since accepts sessions that did not begin before a moment, and counts how
// often it is asked.
type since struct {
	moment time.Time
	asked  int
}

func (v *since) valid(_ context.Context, s *session) (bool, error) {
	v.asked++
	return !s.CreatedAt().Before(v.moment), nil
}

// TestWithValidator logs a user out everywhere but in one browser, on a clock
// that does not tick meanwhile.
func TestWithValidator(t *testing.T) {
	all := storages()
	all["cookie alone"] = options{ginsession.WithMergeBuffer(0)}
	for kind, opts := range all {
		synctest.Test(t, func(t *testing.T) {
			var v since
			rejected := ginsession.ErrRevoked
			if kind == "store" || kind == "cookie" {
				rejected = ginsession.ErrUnknown // it is known to have been renewed
			}
			here := apptest.NewVisitor(t, append(opts, ginsession.WithValidator(v.valid))...)
			here.Visit(func(s *session) { s.Set("user", "ann"); s.SetPermanent(true) })
			elsewhere := here.Clone()
			time.Sleep(time.Minute)
			here.Visit(func(s *session) { s.Renew(); v.moment = s.CreatedAt() })
			wantValues(t, kind+", here", here, map[string]any{"user": "ann"})
			var fresh string
			w := elsewhere.Visit(func(s *session) {
				fresh = fmt.Sprintln(s.Keys(), s.IsNew(), s.ID(), s.Permanent(), s.Flashes(), s.Err(), errors.Is(s.Rejected(), rejected))
			})
			if want := "[] true  false [] <nil> true\n"; fresh != want || tells(w) != "" {
				t.Errorf("%s, elsewhere: got %s and %q, want %s and no cookie", kind, fresh, tells(w), want)
			}
			if got := tells(elsewhere.Visit(func(*session) {})); got != "" {
				t.Errorf("%s, elsewhere, unused: got %q, want no cookie", kind, got)
			}
		})
	}
}

// TestWithValidator_fresh begins a session in the place of a refused one, whose
// record stays as it is: the app may accept it again.
func TestWithValidator_fresh(t *testing.T) {
	store, accept := apptest.NewStore(), true
	v := apptest.NewVisitor(t, ginsession.WithStore(store), ginsession.WithValidator(func(context.Context, *session) (bool, error) { return accept, nil }))
	v.Set("user", "ann")
	refused := v.Clone()
	accept = false
	if got := tells(v.Set("next", "/")); got != "set" || len(store.IDs()) != 2 {
		t.Errorf("got %q and %d records, want a new cookie and 2", got, len(store.IDs()))
	}
	accept = true
	wantValues(t, "the new session", v, map[string]any{"next": "/"})
	wantValues(t, "the refused session", refused, map[string]any{"user": "ann"})
}

// TestWithValidator_asked counts the questions: one for each session that came
// and is read, and at most eight in a request.
func TestWithValidator_asked(t *testing.T) {
	for kind, opts := range storages() {
		var v since
		unused := 0
		if kind == "flask" {
			unused = 1 // a permanent session is sent again
		}
		b := apptest.NewBrowser(apptest.New(t, append(opts, ginsession.WithValidator(v.valid))...))
		for _, step := range []struct {
			do    string
			asked int
		}{{"get:user", 0}, {"set:user=ann", 0}, {"", 0}, {"permanent:true", 1}, {"", unused}, {"get:user,set:user=bob,save,flashes", 1}, {"keys", 1}} {
			v.asked = 0
			if b.Get("/?do=" + step.do); v.asked != step.asked {
				t.Errorf("%s, %q: got %d questions, want %d", kind, step.do, v.asked, step.asked)
			}
		}
		for i := range 20 {
			other := apptest.NewBrowser(b.Handler)
			other.Get(fmt.Sprint("/?do=set:user=", strings.Repeat("x", i)))
			b.Join(other)
		}
		v = since{moment: time.Now().Add(time.Hour)}
		if b.Get("/?do=keys"); v.asked != 8 {
			t.Errorf("%s, 21 cookies: got %d questions, want 8", kind, v.asked)
		}
	}
}

// TestWithValidator_cannotTell lets nobody in, and makes nobody anonymous, if
// the app has no answer: an error, whatever it says, or a panic. Nothing of the
// session shows.
func TestWithValidator_cannotTell(t *testing.T) {
	cause := errors.New("no database")
	for name, answer := range map[string]func() (bool, error){
		"error":           func() (bool, error) { return true, cause },
		"ErrRevoked":      func() (bool, error) { return false, ginsession.ErrRevoked },
		"wrapped unknown": func() (bool, error) { return false, fmt.Errorf("users: %w", ginsession.ErrUnknown) },
		"panic":           func() (bool, error) { panic("a bug in the app") },
	} {
		down := false
		v := apptest.NewVisitor(t, ginsession.WithValidator(func(context.Context, *session) (bool, error) {
			if down {
				return answer()
			}
			return true, nil
		}))
		v.Set("user", "ann")
		down = true
		w := v.Visit(func(s *session) {
			func() {
				defer func() { _ = recover() }()
				s.Keys()
			}()
			if s.Has("user") || !errors.Is(s.Err(), ginsession.ErrUnavailable) || name == "error" && !errors.Is(s.Err(), cause) || s.CreatedAt().IsZero() {
				t.Errorf("%s: got %q and %v, want nothing and ErrUnavailable", name, s.Keys(), s.Err())
			}
			s.Set("user", "anonymous")
		})
		if got, want := tells(w), "503 0 cookies"; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		down = false
		wantValues(t, name, v, map[string]any{"user": "ann"})
	}
}

// TestWithValidator_onlyReads: a validator that changes the session panics, and
// finds the session as it was, also if it has many keys.
func TestWithValidator_onlyReads(t *testing.T) {
	for name, change := range map[string]func(*session){
		"Set":      func(s *session) { s.Set("user", "bob") },
		"Delete":   func(s *session) { s.Delete("user") },
		"Update":   func(s *session) { ginsession.Update(s, "n", func(n int) int { return n + 1 }) },
		"Clear":    (*session).Clear,
		"Renew":    (*session).Renew,
		"Destroy":  (*session).Destroy,
		"AddFlash": func(s *session) { s.AddFlash("hello", "") },
		"a value":  func(s *session) { s.Set("f", func() {}) },
	} {
		var panicked any
		v := apptest.NewVisitor(t, ginsession.WithStore(apptest.NewStore()), ginsession.WithValidator(func(_ context.Context, s *session) (bool, error) {
			defer func() { panicked = recover() }()
			if s.IsNew() || s.ExpiresAt().IsZero() || s.GetString("user") != "ann" || s.Save() != nil {
				t.Errorf("%s: the validator does not see the session that came", name)
			}
			change(s)
			return false, nil
		}))
		v.Visit(func(s *session) {
			s.Set("user", "ann")
			for i := range 50 {
				s.Set(fmt.Sprint(i), i)
			}
		})
		v.Visit(func(s *session) { s.Get("user") })
		if text, _ := panicked.(string); !strings.Contains(text, "WithValidator") {
			t.Errorf("%s: got the panic %v, want one that names WithValidator", name, panicked)
		}
	}
}

// TestWithValidator_context: the client may hang up while the app asks its
// database, which finds the values of the request, and those that a middleware
// before the session's has put into its context.
func TestWithValidator_context(t *testing.T) {
	type key string
	add := func(k key) gin.HandlerFunc {
		return func(c *gin.Context) {
			c.Set(string(k), "in the gin.Context")
			c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), k, string(k)))
		}
	}
	asked := 0
	valid := func(ctx context.Context, _ *session) (bool, error) {
		asked++
		for k, want := range map[any]any{key("request"): "request", key("before"): "before", key("after"): nil, "before": nil, "after": nil} {
			if got := ctx.Value(k); got != want {
				t.Errorf("%v: got %v, want %v", k, got, want)
			}
		}
		return true, ctx.Err()
	}
	b := apptest.NewBrowser(apptest.Mount(add("before"), apptest.Middleware(t, secret, ginsession.WithValidator(valid)), add("after")))
	b.Get("/?do=set:user=ann")
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key("request"), "request"))
	cancel()
	w := b.Do(httptest.NewRequest(http.MethodGet, "/?do=get:user", nil).WithContext(ctx))
	if !slices.Equal(w.Lines(), []string{"ann"}) || asked != 1 {
		t.Errorf("got %d, %q and %d questions, want ann and one", w.Code, w.Body, asked)
	}
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

// TestWithCookieMigration_oneLine saves an emptied session, and then another: the last cookie
// counts, and is alone.
func TestWithCookieMigration_oneLine(t *testing.T) {
	b := apptest.NewBrowser(newApp(t))
	logIn(t, b)
	app := newApp(t, ginsession.WithStore(apptest.NewStore()), ginsession.WithCookieMigration(apptest.Secret))
	b.Handler = app
	w := app.Play(b, func(c *gin.Context) {
		s := ginsession.From(c)
		s.Clear()
		_ = s.Save()
		c.Writer.Header()
		s.Set("a", 1)
	})
	if lines := w.SetCookies(sid); len(lines) != 1 {
		t.Errorf("got %q", lines)
	}
}

// TestWithFlaskMigration_oneLine does the same for a Flask cookie of the same name.
func TestWithFlaskMigration_oneLine(t *testing.T) {
	b := apptest.NewBrowser(apptest.New(t, ginsession.WithFlaskCookie()))
	b.Get("/?do=set:user=ann")
	app := apptest.New(t, ginsession.WithStore(apptest.NewStore()), ginsession.WithName("session"), ginsession.WithFlaskMigration(apptest.Secret))
	b.Handler = app
	w := app.Play(b, func(c *gin.Context) {
		s := ginsession.From(c)
		s.Clear()
		_ = s.Save()
		c.Writer.Header()
		s.Set("a", strings.Repeat("x", 3))
	})
	if lines := w.SetCookies("session"); len(lines) != 1 {
		t.Errorf("got %q", lines)
	}
}
