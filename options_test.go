package ginsession_test

import (
	"bytes"
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
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memstore"
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
		if mistake.Reason == "" || !strings.Contains(one.Error(), mistake.Option) || !strings.Contains(one.Error(), mistake.Reason) {
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
	secrets := []string{"Recognisable-1", "Recognisable-2", "Recognisable-3-that-has-over-32-bytes", "Recognisable-4\nü\xff"}
	for _, first := range secrets {
		_, err := ginsession.New(first, nil, ginsession.WithPreviousSecrets(secrets...), ginsession.WithName(" "), ginsession.WithPath(""), ginsession.WithContextKey(""))
		if err == nil {
			t.Fatal("got no error")
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%q", err), fmt.Sprintf("%v", mistakes(t, err))} {
			if strings.Contains(text, "Recognisable") {
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

func TestWithPreviousSecrets_copies(t *testing.T) {
	k := cookieOf(t, mustNew(t, otherSecret), "ann")
	previous := []string{otherSecret}
	opt := ginsession.WithPreviousSecrets(previous...)
	previous[0] = "short"
	if got := look(t, mustNew(t, secret, opt), k); got.who != "ann" {
		t.Errorf("got %+v, want ann", got)
	}
}

func TestNew_lastOptionWins(t *testing.T) {
	v := newVisitor(t, ginsession.WithName("first"), ginsession.WithPath("bad"), ginsession.WithPath("/app"), ginsession.WithName("last"),
		ginsession.WithPreviousSecrets("short"), ginsession.WithPreviousSecrets())
	if line := attributes(setCookies(v.set("a", 1))[0]); !strings.HasPrefix(line, "last=…; Path=/app;") {
		t.Errorf("got %q, want the last name and path", line)
	}
}

// TestNew_sameOptionsTwice: options keep no state between two middlewares.
func TestNew_sameOptionsTwice(t *testing.T) {
	opts := options{ginsession.WithName("sid"), ginsession.WithPreviousSecrets(otherSecret)}
	if got := look(t, mustNew(t, secret, opts...), cookieOf(t, mustNew(t, secret, opts...), "ann")); got.who != "ann" {
		t.Errorf("got %+v, want ann", got)
	}
}

func TestWithErrorHandler_nil(t *testing.T) {
	for _, opts := range []options{{ginsession.WithErrorHandler(nil)}, {ginsession.WithErrorHandler(func(c *gin.Context, _ error) { c.Status(http.StatusTeapot) }), ginsession.WithErrorHandler(nil)}} {
		w := newVisitor(t, opts...).set("bad", make(chan int))
		if got, want := w.Body.String(), "Internal Server Error\n"; w.Code != http.StatusInternalServerError || got != want {
			t.Errorf("got %d %q, want the plain page", w.Code, got)
		}
	}
}

func TestWithErrorHandler_getsTheError(t *testing.T) {
	var got error
	v := newVisitor(t, ginsession.WithErrorHandler(func(c *gin.Context, err error) {
		got = err
		c.String(http.StatusTeapot, "sorry, %s", ginsession.From(c).GetString("name"))
	}))
	w := v.set("name", "ann", "bad", make(chan int))
	if !errors.Is(got, ginsession.ErrValue) || w.Code != http.StatusTeapot || w.Body.String() != "sorry, ann" {
		t.Errorf("got %v, %d and %q, want ErrValue and the handler's page", got, w.Code, w.Body)
	}
}

func TestWithContextKey(t *testing.T) {
	r := newEngine(t, ginsession.WithContextKey("sid"))
	r.GET("/", func(c *gin.Context) {
		_, own := c.MustGet("sid").(*ginsession.Session)
		_, other := c.Get(ginsession.Key)
		if !own || other {
			t.Errorf("under its key: %v, under Key: %v, want true, false", own, other)
		}
	})
	do(t, r, http.MethodGet, "/")
}

// TestNew_warnsOfPlainHTTP: in debug mode, one line warns of a Secure cookie
// that leaves for a host where the browser drops it. Each row makes two visits
// that set the cookie.
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
		{"store", gin.DebugMode, plain, nil, options{ginsession.WithStore(memstore.New())}, 1},
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
		r := newEngine(t, row.opts...)
		r.GET("/", func(c *gin.Context) { ginsession.From(c).Set("a", 1) })
		b.Reset()
		for range 2 {
			req := httptest.NewRequest(http.MethodGet, row.url, nil)
			maps.Copy(req.Header, row.header)
			w := httptest.NewRecorder()
			if r.ServeHTTP(w, req); len(setCookies(w)) != 1 {
				t.Errorf("%s: got the cookies %q, want one", row.name, setCookies(w))
			}
		}
		if got := strings.Count(b.String(), "level=WARN"); got != row.want {
			t.Errorf("%s: got %d warnings, want %d: %s", row.name, got, row.want, &b)
		}
	}
}

// TestNew_warnsOfPlainHTTP_onlyWithACookie: a page that sets none has nothing
// that the browser could drop.
func TestNew_warnsOfPlainHTTP_onlyWithACookie(t *testing.T) {
	var b bytes.Buffer
	mode, out := gin.Mode(), gin.DefaultWriter
	gin.DefaultWriter = io.Discard
	defer func() { gin.SetMode(mode); gin.DefaultWriter = out }()
	gin.SetMode(gin.DebugMode)
	r := newEngine(t, ginsession.WithLogger(slog.New(slog.NewTextHandler(&b, nil))))
	r.GET("/", func(c *gin.Context) { ginsession.From(c).Get("a") })
	r.GET("/set", func(c *gin.Context) { ginsession.From(c).Set("a", 1) })
	for _, row := range []struct {
		path string
		want int
	}{{"/", 0}, {"/set", 1}, {"/set", 1}, {"/", 1}} {
		do(t, r, http.MethodGet, "http://app.test"+row.path)
		if got := strings.Count(b.String(), "level=WARN"); got != row.want {
			t.Errorf("after %s: got %d warnings, want %d: %s", row.path, got, row.want, &b)
		}
	}
}
