package migration_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/thirdparty/migration/after"
	"github.com/ginsession/ginsession/internal/thirdparty/migration/before"
)

const (
	secret   = "a secret of the tests, 32 bytes or more"
	patience = 10 * time.Second // only a test that fails waits that long
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// shop is before.New or after.New.
type shop func(secret string, servers ...string) http.Handler

// forEachShop runs a test against the shop before and after it was moved, with
// its sessions in cookies and in Memcached.
func forEachShop(t *testing.T, test func(*testing.T, *browser)) {
	for name, newShop := range map[string]shop{"before": before.New, "after": after.New} {
		t.Run(name+"/cookie", func(t *testing.T) { test(t, newBrowser(t, newShop(secret))) })
		t.Run(name+"/Memcached", func(t *testing.T) {
			test(t, newBrowser(t, newShop(secret, memcachedtest.Start(t).Addr)))
		})
	}
}

// browser goes through https, so that its jar sends Secure cookies.
type browser struct {
	t      *testing.T
	srv    *httptest.Server
	client *http.Client
	last   http.Header // of the last response before a redirect
}

func newBrowser(t *testing.T, h http.Handler) *browser {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	return browserOf(t, srv)
}

// browserOf is another browser on the same server.
func browserOf(t *testing.T, srv *httptest.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, srv: srv, client: &http.Client{
		Jar:           jar,
		Transport:     srv.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (b *browser) send(method, path string, form url.Values, headers ...string) (status int, body string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, b.srv.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.last = resp.Header
	return resp.StatusCode, string(text)
}

// get gives a page that has to be there.
func (b *browser) get(path string) string {
	b.t.Helper()
	status, body := b.send(http.MethodGet, path, nil)
	if status != http.StatusOK {
		b.t.Errorf("GET %s: got status %d, want 200", path, status)
	}
	return body
}

// post sends a form that has to lead to another page. Fields are names and
// values in turn.
func (b *browser) post(path string, fields ...string) {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	if status, _ := b.send(http.MethodPost, path, form); status != http.StatusSeeOther {
		b.t.Errorf("POST %s: got status %d, want 303", path, status)
	}
}

func (b *browser) login(more ...string) {
	b.t.Helper()
	b.post("/login", append([]string{"name", "Ada", "password", "open sesame"}, more...)...)
}

// wantHome fails unless the home page says just this.
func (b *browser) wantHome(lines ...string) {
	b.t.Helper()
	if got, want := b.get("/"), strings.Join(lines, "\n")+"\n"; got != want {
		b.t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestShop_loginAndLogout(t *testing.T) {
	forEachShop(t, func(_ *testing.T, b *browser) {
		b.wantHome("name: ", "visits: 1", "theme: light")
		b.login()
		b.wantHome("flash: Welcome", "name: Ada", "visits: 2", "theme: light")
		b.wantHome("name: Ada", "visits: 3", "theme: light")
		b.post("/logout")
		b.wantHome("name: ", "visits: 1", "theme: light")
	})
}

func TestShop_wrongPassword(t *testing.T) {
	forEachShop(t, func(_ *testing.T, b *browser) {
		b.post("/login", "name", "Ada", "password", "please")
		b.wantHome("error: Wrong password", "name: ", "visits: 1", "theme: light")
		b.wantHome("name: ", "visits: 2", "theme: light")
	})
}

func TestShop_errorsAndOtherFlashes(t *testing.T) {
	forEachShop(t, func(_ *testing.T, b *browser) {
		b.post("/login")
		b.post("/cart", "article", "tea")
		b.wantHome("error: Wrong password", "flash: It is in your cart", "name: ", "visits: 1", "theme: light", "1 tea")
	})
}

func TestShop_cart(t *testing.T) {
	forEachShop(t, func(_ *testing.T, b *browser) {
		b.post("/cart", "article", "tea")
		b.post("/cart", "article", "<milk>")
		b.wantHome("flash: It is in your cart", "flash: It is in your cart", "name: ", "visits: 1", "theme: light",
			"1 tea", "1 &lt;milk&gt;")
		b.login()
		b.wantHome("flash: Welcome", "name: Ada", "visits: 2", "theme: light", "1 tea", "1 &lt;milk&gt;")
		b.post("/cart/clear")
		b.wantHome("name: Ada", "visits: 3", "theme: light")
	})
}

func TestShop_twoSessions(t *testing.T) {
	forEachShop(t, func(_ *testing.T, b *browser) {
		b.login()
		b.post("/theme", "theme", "dark")
		b.wantHome("flash: Welcome", "name: Ada", "visits: 1", "theme: dark")
		b.post("/logout")
		b.wantHome("name: ", "visits: 1", "theme: dark")
	})
}

func TestShop_private(t *testing.T) {
	forEachShop(t, func(t *testing.T, b *browser) {
		if status, _ := b.send(http.MethodGet, "/account", nil); status != http.StatusForbidden {
			t.Errorf("a stranger: got status %d, want 403", status)
		}
		b.login()
		if got, want := b.get("/account"), `{"name":"Ada"}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestShop_remember(t *testing.T) {
	forEachShop(t, func(t *testing.T, b *browser) {
		b.login()
		if got := b.maxAge(); got != 0 {
			t.Errorf("without remember: got a Max-Age of %d, want none", got)
		}
		b.post("/logout")
		b.login("remember", "on")
		if got := b.maxAge(); got != 30*24*60*60 {
			t.Errorf("with remember: got a Max-Age of %d, want 30 days", got)
		}
		b.wantHome("flash: Welcome", "name: Ada", "visits: 1", "theme: light")
	})
}

// maxAge is that of the cookie which the last response set.
func (b *browser) maxAge() int {
	b.t.Helper()
	cookies := (&http.Response{Header: b.last}).Cookies()
	if len(cookies) != 1 {
		b.t.Fatalf("got %d cookies, want 1", len(cookies))
	}
	return cookies[0].MaxAge
}

func TestShop_attributes(t *testing.T) {
	forEachShop(t, func(t *testing.T, b *browser) {
		b.login()
		line := strings.Join(b.last["Set-Cookie"], ", ")
		for _, want := range []string{"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
			if !strings.Contains(line, "; "+want) {
				t.Errorf("the cookie is not %s", want)
			}
		}
	})
}

func TestShop_otherBrowsersSeeNothing(t *testing.T) {
	forEachShop(t, func(t *testing.T, b *browser) {
		b.login()
		browserOf(t, b.srv).wantHome("name: ", "visits: 1", "theme: light")
	})
}
