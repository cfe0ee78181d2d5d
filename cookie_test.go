package ginsession_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// cutValue cuts the value out of a Set-Cookie line.
func cutValue(line string) string {
	name, rest, _ := strings.Cut(line, "=")
	_, rest, _ = strings.Cut(rest, ";")
	return name + "=…;" + rest
}

// TestNew_cookie has the Set-Cookie line of each option. The session can be read
// with it, and goes with the line that the browser matches with it.
func TestNew_cookie(t *testing.T) {
	tests := []struct {
		name string
		opts options
		want string
	}{
		{"default", nil, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"insecure", options{ginsession.WithInsecureCookie()}, "session=…; Path=/; HttpOnly; SameSite=Lax"},
		{"path", options{ginsession.WithPath("/app")}, "session=…; Path=/app; HttpOnly; Secure; SameSite=Lax"},
		{"domain", options{ginsession.WithDomain("example.com")}, "session=…; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
		{"name", options{ginsession.WithName("sid")}, "sid=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"script access", options{ginsession.WithScriptAccess()}, "__Host-session=…; Path=/; Secure; SameSite=Lax"},
		{"strict", options{ginsession.WithSameSite(http.SameSiteStrictMode)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Strict"},
		{"none", options{ginsession.WithSameSite(http.SameSiteNoneMode)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=None"},
		{"browser's default", options{ginsession.WithSameSite(http.SameSiteDefaultMode)}, "__Host-session=…; Path=/; HttpOnly; Secure"},
		{"partitioned", options{ginsession.WithPartitioned()}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Partitioned"},
		{"permanent", options{ginsession.WithPermanent()}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=2678400"},
		{"permanent, lifetime", options{ginsession.WithPermanent(), ginsession.WithLifetime(90 * time.Second)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=90"},
		{"permanent, very short", options{ginsession.WithPermanent(), ginsession.WithLifetime(10 * time.Millisecond)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=1"},
		{"permanent, longest", options{ginsession.WithPermanent(), ginsession.WithLifetime(math.MaxInt64)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=9223372037"},
		{"permanent, idle timeout", options{ginsession.WithPermanent(), ginsession.WithIdleTimeout(time.Hour)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=3600"},
		{"all", options{ginsession.WithName("sid"), ginsession.WithPath("/visit"), ginsession.WithDomain("example.com")}, "sid=…; Path=/visit; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
		{"longest, idle timeout", options{ginsession.WithLifetime(math.MaxInt64), ginsession.WithIdleTimeout(math.MaxInt64)}, "__Host-session=…; Path=/; HttpOnly; Secure; SameSite=Lax"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := apptest.NewVisitor(t, test.opts...)
				lines := v.Set("who", "ann").Header()["Set-Cookie"]
				if len(lines) != 1 || cutValue(lines[0]) != test.want {
					t.Fatalf("got %q, want %q", lines, test.want)
				}
				if test.name == "path" || test.name == "permanent, longest" {
					return // no page is under it; 292 years are too long for the test's browser
				}
				wantValues(t, test.name, v, map[string]any{"who": "ann"})
				attributes, _, _ := strings.Cut(test.want, "; Max-Age")
				want := attributes + "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
				if lines := v.Visit((*session).Destroy).Header()["Set-Cookie"]; len(lines) != 1 || cutValue(lines[0]) != want || len(v.Cookies()) != 0 {
					t.Errorf("log-out: got %q, want %q", lines, want)
				}
			})
		})
	}
}
