package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

// visitor is a browser in front of both apps. It speaks https, since a cookie
// jar keeps Secure cookies from http.
type visitor struct {
	t *testing.T
	*http.Client
	url string
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	const secret = "a secret that both of them have"
	flask, err := startFlask(t.Context(), secret)
	if errors.Is(err, errNoFlask) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(flask.stop)
	app, err := newApp(secret, flask.url)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(app)
	t.Cleanup(server.Close)
	client := server.Client()
	if client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	return &visitor{t, client, server.URL}
}

// get follows redirects and wants all these texts in the page.
func (v *visitor) get(path string, want ...string) string {
	v.t.Helper()
	resp, err := v.Get(v.url + path)
	return v.page("GET "+path, resp, err, want)
}

func (v *visitor) post(path string, form url.Values, want ...string) string {
	v.t.Helper()
	resp, err := v.PostForm(v.url+path, form)
	return v.page("POST "+path, resp, err, want)
}

func (v *visitor) page(what string, resp *http.Response, err error, want []string) string {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: got %s\n%s", what, resp.Status, body)
	}
	for _, text := range want {
		if !strings.Contains(string(body), text) {
			v.t.Errorf("%s: no %q in\n%s", what, text, body)
		}
	}
	return string(body)
}

const (
	byGin   = "Gin</span> made this page"
	byFlask = "Flask</span> made this page"
)

func TestLogIn_withGinAndFlaskGreets(t *testing.T) {
	v := newVisitor(t)
	v.get("/", byGin, "Nobody is logged in")
	v.post("/login", url.Values{"name": {"Zoë"}}, byFlask, "Hello, Zoë. Gin logged you in at", "Zoë logged in with Gin",
		"<code>datetime</code>", "<code>int</code>")
	if page := v.get("/flask", byFlask, "Hello, Zoë"); strings.Contains(page, "logged in with Gin") {
		t.Error("the message is shown twice")
	}
	v.get("/", byGin, "Hello, Zoë", "<code>time.Time</code>")
	v.post("/flask/logout", nil, byGin, "Logged out with Flask", "Nobody is logged in")
}

func TestLogIn_withFlaskAndGinGreets(t *testing.T) {
	for _, form := range []url.Values{{"name": {"Zoë"}}, {"name": {"Zoë"}, "remember": {"on"}}} {
		v := newVisitor(t)
		v.get("/flask", byFlask, "Nobody is logged in")
		v.post("/flask/login", form, byGin, "Hello, Zoë. Flask logged you in at", "Zoë logged in with Flask",
			"<code>[]interface {}</code>")
		for range 3 {
			v.get("/", byGin, "Hello, Zoë")
			v.get("/flask", byFlask, "Hello, Zoë", "(UUID(", "1180591620717411303424)", "<code>tuple</code>")
		}
		v.get("/", "<td><code>9</code></td><td><code>int64</code></td>") // visits, counted by both
		v.post("/logout", nil, byFlask, "Logged out with Gin", "Nobody is logged in")
		v.get("/", byGin, "Nobody is logged in")
	}
}

func TestLogIn_withoutAName(t *testing.T) {
	v := newVisitor(t)
	v.post("/login", nil, byGin, "Gin needs a name", `class="flash error"`)
	v.post("/flask/login", nil, byFlask, "Flask needs a name", `class="flash error"`)
}

// Text is text on both sides.
func TestLogIn_escapes(t *testing.T) {
	v := newVisitor(t)
	for _, path := range []string{"/login", "/flask/login"} {
		page := v.post(path, url.Values{"name": {"<b>&\u2028😀"}}, "&lt;b&gt;&amp;")
		if strings.Contains(page, "<b>") {
			t.Errorf("%s: not escaped:\n%s", path, page)
		}
		v.get("/", "&lt;b&gt;&amp;", "😀")
		v.get("/flask", "&lt;b&gt;&amp;", "😀")
	}
}

func TestApp_flaskIsDown(t *testing.T) {
	app, err := newApp("a secret that both of them have", &url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	defer server.Close()
	for path, want := range map[string]int{"/": http.StatusOK, "/style.css": http.StatusOK, "/flask": http.StatusBadGateway} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: got %s, want %d", path, resp.Status, want)
		}
	}
}

func TestRun_servesUntilItIsTold(t *testing.T) {
	if _, err := python(t.Context()); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	t.Setenv("ADDR", addr)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/flask")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
}
