package main

import (
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

const testSecret = "a secret for tests, and for nothing but tests"

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	gin.DefaultWriter = io.Discard
	os.Exit(m.Run())
}

// testApp is the app with sessions in the cookie.
func testApp(t *testing.T) http.Handler {
	t.Helper()
	return newTestApp(t, config{secret: testSecret})
}

func newTestApp(t *testing.T, cfg config) http.Handler {
	t.Helper()
	app, err := newApp(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// visitor is a browser without a window. It speaks TLS: Go's cookie jar sends
// Secure cookies no other way.
type visitor struct {
	t    *testing.T
	url  string
	http *http.Client
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	return newVisitorOf(t, testApp(t))
}

func newVisitorOf(t *testing.T, app http.Handler) *visitor {
	t.Helper()
	server := httptest.NewTLSServer(app)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	client.Jar = jar
	return &visitor{t, server.URL, client}
}

// answer is what a visitor got in the end, after redirects.
type answer struct {
	status int
	path   string
	header http.Header
	body   string
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	return v.do(http.MethodGet, path, nil, nil)
}

// post sends a form; fields are names and values in turn.
func (v *visitor) post(path string, fields ...string) answer {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return v.do(http.MethodPost, path, header, strings.NewReader(form.Encode()))
}

func (v *visitor) do(method, path string, header http.Header, body io.Reader) answer {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := v.http.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Request.URL.Path, response.Header, string(text)}
}

// cookie is the session's cookie in the jar, or nil.
func (v *visitor) cookie() *http.Cookie {
	u, err := url.Parse(v.url)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.http.Jar.Cookies(u) {
		if c.Name == cookieName {
			return c
		}
	}
	return nil
}

// shows checks that the page is there and has all these texts.
func (a answer) shows(t *testing.T, texts ...string) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Errorf("%s: got status %d, want 200", a.path, a.status)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s does not show %q:\n%s", a.path, text, a.body)
		}
	}
}

func (a answer) hides(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			t.Errorf("%s shows %q:\n%s", a.path, text, a.body)
		}
	}
}

// at checks where redirects have led.
func (a answer) at(t *testing.T, path string) answer {
	t.Helper()
	if a.path != path {
		t.Errorf("got to %s, want %s", a.path, path)
	}
	return a
}

// need ends a test that cannot run without a program: as failed if CI=true,
// as skipped elsewhere.
func need(t *testing.T, advice string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(advice)
	}
	t.Skip(advice)
}
