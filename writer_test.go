package ginsession_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const (
	held     = 256 << 10 // bytes of a body that are held back
	page     = "Internal Server Error\n"
	patience = 10 * time.Second // only a test that fails waits that long
)

// recovery is [gin.Recovery] without its log.
func recovery() gin.HandlerFunc { return gin.RecoveryWithWriter(io.Discard) }

// serve starts a server for tests that need a real connection.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func fetch(t testing.TB, srv *httptest.Server, path string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wait fails the test where ch says nothing.
func wait(t testing.TB, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Errorf("waited in vain for %s", what)
	}
}

// observed is all that can be seen of a response: by the handler at its end,
// by a middleware outside, and by the client.
type observed struct {
	inside, outside string
	code            int
	header          http.Header
	body            string
}

func observe(t testing.TB, method string, h gin.HandlerFunc, sessions ...gin.HandlerFunc) (o observed) {
	t.Helper()
	see := func(c *gin.Context) string {
		return fmt.Sprintf("status %d size %d written %v", c.Writer.Status(), c.Writer.Size(), c.Writer.Written())
	}
	r := gin.New()
	r.LoadHTMLGlob(writeTemplate(t))
	r.Use(func(c *gin.Context) { c.Header("X-Outer", "1"); c.Next(); o.outside = see(c) })
	r.Use(sessions...)
	r.Handle(method, "/", func(c *gin.Context) { defer func() { o.inside = see(c) }(); h(c) })
	w := do(t, r, method, "/")
	o.code, o.header, o.body = w.Code, w.Result().Header, w.Body.String()
	return o
}

// sessionless drops the headers that a session adds.
func (o observed) sessionless() observed {
	o.header = maps.Clone(o.header)
	for _, key := range []string{"Set-Cookie", "Vary", "Cache-Control"} {
		delete(o.header, key)
	}
	return o
}

func writeTemplate(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	text := `{{with .session}}{{range .Flashes}}[{{.Category}}: {{.Message}}]{{end}}{{end}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWriter_looksLikeGins(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20<<10) // 320 KiB
	file := writeFile(t, big)
	tests := []struct {
		name, method string
		handler      gin.HandlerFunc
	}{
		{"empty", "GET", func(*gin.Context) {}},
		{"status", "GET", func(c *gin.Context) { c.Status(204) }},
		{"status now", "GET", func(c *gin.Context) { c.Status(201); c.Writer.WriteHeaderNow() }},
		{"status twice", "GET", func(c *gin.Context) { c.Status(201); c.Status(202) }},
		{"status -1", "GET", func(c *gin.Context) { c.Status(201); c.Status(-1) }},
		{"status after body", "GET", func(c *gin.Context) { c.String(200, "a"); c.Status(500) }},
		{"status after flush", "GET", func(c *gin.Context) { c.Writer.Flush(); c.Status(500) }},
		{"now after flush", "GET", func(c *gin.Context) { c.Writer.Flush(); c.Writer.WriteHeaderNow() }},
		{"string", "GET", func(c *gin.Context) { c.String(201, "héllo %d", 1) }},
		{"json", "GET", func(c *gin.Context) { c.JSON(200, gin.H{"a": 1}) }},
		{"json twice", "GET", func(c *gin.Context) { c.JSON(200, 1); c.JSON(500, 2) }},
		{"html", "GET", func(c *gin.Context) { c.HTML(200, "page.html", nil) }},
		{"data", "GET", func(c *gin.Context) { c.Data(200, "image/png", []byte{1, 2, 3}) }},
		{"no content", "GET", func(c *gin.Context) { c.String(204, "dropped by gin") }},
		{"not modified", "GET", func(c *gin.Context) { c.Status(304) }},
		{"abort", "GET", func(c *gin.Context) { c.AbortWithStatus(403) }},
		{"abort json", "GET", func(c *gin.Context) { c.AbortWithStatusJSON(403, gin.H{"a": 1}) }},
		{"abort after body", "GET", func(c *gin.Context) { c.String(200, "a"); c.AbortWithStatus(403) }},
		{"redirect", "GET", func(c *gin.Context) { c.Redirect(302, "/there") }},
		{"post redirect", "POST", func(c *gin.Context) { c.Redirect(303, "/there") }},
		{"head", "HEAD", func(c *gin.Context) { c.Header("Content-Length", "5"); c.Status(200) }},
		{"no bytes", "GET", func(c *gin.Context) { _, _ = c.Writer.Write(nil) }},
		{"no string", "GET", func(c *gin.Context) { _, _ = c.Writer.WriteString("") }},
		{"file", "GET", func(c *gin.Context) { c.File(file) }},
		{"attachment", "GET", func(c *gin.Context) { c.FileAttachment(file, "a.bin") }},
		{"no file", "GET", func(c *gin.Context) { c.File(file + ".none") }},
		{"reader", "GET", func(c *gin.Context) {
			c.DataFromReader(200, int64(len(big)), "text/plain", strings.NewReader(big), map[string]string{"X-A": "b"})
		}},
		{"one big write", "GET", func(c *gin.Context) { _, _ = c.Writer.Write([]byte(big)) }},
		{"one big string", "GET", func(c *gin.Context) { _, _ = c.Writer.WriteString(big) }},
		{"flush", "GET", func(c *gin.Context) { c.Writer.Flush() }},
		{"flush with status", "GET", func(c *gin.Context) { c.Status(202); c.Writer.Flush() }},
		{"flush between", "GET", func(c *gin.Context) { c.String(200, "a"); c.Writer.Flush(); c.String(200, "b") }},
		{"event", "GET", func(c *gin.Context) { c.SSEvent("a", "b"); c.Writer.Flush(); c.SSEvent("c", "d") }},
		{"headers", "GET", func(c *gin.Context) { c.Header("X-Outer", ""); c.Writer.Header().Add("X-A", "b"); c.String(200, "a") }},
	}
	touches := map[string]gin.HandlerFunc{"untouched": func(*gin.Context) {}, "read": func(c *gin.Context) { ginsession.From(c).Len() }, "changed": set}
	for _, tt := range tests {
		want := observe(t, tt.method, tt.handler)
		for touch, fn := range touches {
			t.Run(tt.name+"/"+touch, func(t *testing.T) {
				got := observe(t, tt.method, func(c *gin.Context) { fn(c); tt.handler(c) }, newSessions(t))
				if n := len(got.header["Set-Cookie"]); n != btoi(touch == "changed") {
					t.Errorf("got %d cookies", n)
				}
				if touch == "untouched" {
					wantSame(t, got, want)
				} else {
					wantSame(t, got.sessionless(), want.sessionless())
				}
			})
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func wantSame(t testing.TB, got, want observed) {
	t.Helper()
	if got.inside != want.inside {
		t.Errorf("the handler: got %v, want %v", got.inside, want.inside)
	}
	if got.outside != want.outside {
		t.Errorf("a middleware outside: got %v, want %v", got.outside, want.outside)
	}
	if got.code != want.code {
		t.Errorf("status: got %v, want %v", got.code, want.code)
	}
	if g, w := fmt.Sprint(got.header), fmt.Sprint(want.header); g != w {
		t.Errorf("headers: got %v, want %v", g, w)
	}
	if got.body != want.body {
		t.Errorf("body: got %d bytes, want %d: %.80q", len(got.body), len(want.body), got.body)
	}
}

func TestWriter_changesAreNeverTooLateBeforeHeadersLeave(t *testing.T) {
	tests := []struct {
		name, method string
		handler      gin.HandlerFunc
		code         int
		body         string
	}{
		{"after json", "GET", func(c *gin.Context) { c.JSON(201, "x"); set(c) }, 201, `"x"`},
		{"after a string", "GET", func(c *gin.Context) { c.String(200, "x"); set(c) }, 200, "x"},
		{"between two", "GET", func(c *gin.Context) { c.String(200, "x"); set(c); c.String(200, "y") }, 200, "xy"},
		{"after headers were forced", "GET", func(c *gin.Context) { c.Writer.WriteHeaderNow(); set(c) }, 200, ""},
		{"in a deferred func", "GET", func(c *gin.Context) { defer set(c); c.String(200, "x") }, 200, "x"},
		{"no content", "GET", func(c *gin.Context) { set(c); c.Status(204) }, 204, ""},
		{"after no content", "GET", func(c *gin.Context) { c.Status(204); set(c) }, 204, ""},
		{"nothing else", "GET", set, 200, ""},
		{"post redirect get", "POST", func(c *gin.Context) { set(c); c.Redirect(303, "/") }, 303, ""},
		{"after post redirect get", "POST", func(c *gin.Context) { c.Redirect(303, "/"); set(c) }, 303, ""},
		{"head", "HEAD", func(c *gin.Context) { c.Status(200); set(c) }, 200, ""},
		{"not modified", "GET", func(c *gin.Context) { c.Status(304); set(c) }, 304, ""},
		{"abort", "GET", func(c *gin.Context) { c.AbortWithStatus(403); set(c) }, 403, ""},
		{"abort json", "GET", func(c *gin.Context) { c.AbortWithStatusJSON(403, 1); set(c) }, 403, "1"},
		{"just under 256 KiB", "GET", func(c *gin.Context) { c.String(200, strings.Repeat("x", held-1)); set(c) }, 200, strings.Repeat("x", held-1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, tr := newTraced(t)
			r.Handle(tt.method, "/", tt.handler)
			r.GET("/get", get)
			b := newBrowser(r)
			w := b.do(httptest.NewRequest(tt.method, "/", nil))
			if w.Code != tt.code || w.Body.String() != tt.body {
				t.Errorf("got %d %.80q, want %d %.80q", w.Code, w.Body, tt.code, tt.body)
			}
			if got := len(cookieLines(w)); got != 1 {
				t.Errorf("got %d cookies, want 1", got)
			}
			if len(tr.errs) != 0 {
				t.Errorf("got errors %v, want none", tr.errs)
			}
			if got, want := b.get("/get").Body.String(), "ann"; got != want {
				t.Errorf("kept: got %q, want %q", got, want)
			}
		})
	}
}

func TestWriter_middlewareChangesAfterNext(t *testing.T) {
	r := newEngine(t)
	r.Use(func(c *gin.Context) { c.Next(); set(c) })
	r.GET("/", func(c *gin.Context) { c.JSON(200, "x") })
	w := do(t, r, "GET", "/")
	if got := len(cookieLines(w)); got != 1 {
		t.Errorf("got %d cookies, want 1", got)
	}
	if got, want := w.Body.String(), `"x"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriter_templateReadsFlashes(t *testing.T) {
	r := newEngine(t)
	r.LoadHTMLGlob(writeTemplate(t))
	r.GET("/add", func(c *gin.Context) {
		ginsession.From(c).AddFlash(template.HTML("<b>hi</b>"), "")
		ginsession.From(c).AddFlash("<i>", "error")
	})
	r.GET("/", func(c *gin.Context) { c.HTML(200, "page.html", gin.H{"session": ginsession.From(c)}) })
	b := newBrowser(r)
	b.get("/add")
	for _, want := range []string{"[message: <b>hi</b>][error: &lt;i&gt;]", ""} {
		if got := b.get("/").Body.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if len(b.cookies) != 0 {
		t.Errorf("got %d cookies, want none once the flashes are read", len(b.cookies))
	}
}

// Gin writes these bodies after the last middleware.
func TestWriter_notFoundAndNotAllowed(t *testing.T) {
	middlewares := []struct {
		name    string
		fn      gin.HandlerFunc
		cookies int
	}{
		{"untouched", func(*gin.Context) {}, 0},
		{"changed", set, 1},
		{"changed after next", func(c *gin.Context) { c.Next(); set(c) }, 1},
	}
	requests := []struct{ method, path, body string }{
		{"GET", "/none", "404 page not found"},
		{"POST", "/", "405 method not allowed"},
	}
	for _, m := range middlewares {
		for _, q := range requests {
			t.Run(m.name+q.path, func(t *testing.T) {
				r, tr := newTraced(t)
				r.HandleMethodNotAllowed = true
				r.Use(m.fn)
				r.GET("/", get)
				w := do(t, r, q.method, q.path)
				code, _ := strconv.Atoi(q.body[:3])
				if w.Code != code || w.Body.String() != q.body {
					t.Errorf("got %d %q, want %d %q", w.Code, w.Body, code, q.body)
				}
				if got := len(cookieLines(w)); got != m.cookies {
					t.Errorf("got %d cookies, want %d", got, m.cookies)
				}
				if tr.status != code || tr.size != -1 || tr.written {
					t.Errorf("a middleware outside saw %+v", *tr)
				}
			})
		}
	}
}

func TestWriter_noRouteHandlers(t *testing.T) {
	tests := []struct {
		name    string
		handler gin.HandlerFunc
		code    int
		body    string
	}{
		{"json", func(c *gin.Context) { set(c); c.JSON(404, "none") }, 404, `"none"`},
		{"abort with 404", func(c *gin.Context) { set(c); c.AbortWithStatus(404) }, 404, ""},
		{"another status", func(c *gin.Context) { set(c); c.Status(410) }, 410, ""},
		{"ok", func(c *gin.Context) { set(c); c.Status(200) }, 200, ""},
		{"sees 404", func(c *gin.Context) { set(c); c.String(200, "%d", c.Writer.Status()) }, 200, "404"},
		{"fails", func(c *gin.Context) { setBad(c) }, 500, page},
		{"fails after 404", func(c *gin.Context) { setBad(c); c.JSON(404, "none") }, 500, page},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newEngine(t)
			r.NoRoute(tt.handler)
			w := do(t, r, "GET", "/none")
			if w.Code != tt.code || w.Body.String() != tt.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.code, tt.body)
			}
			if got, want := len(cookieLines(w)), btoi(tt.code != 500); got != want {
				t.Errorf("got %d cookies, want %d", got, want)
			}
		})
	}
}

func TestWriter_holdsUpTo256KiB(t *testing.T) {
	write := func(c *gin.Context, n int) { _, _ = c.Writer.Write(make([]byte, n)) }
	writeString := func(c *gin.Context, n int) { _, _ = c.Writer.WriteString(strings.Repeat("x", n)) }
	tests := []struct {
		name   string
		write  func(*gin.Context, int)
		pieces []int
		sent   bool
	}{
		{"63 KiB", write, []int{63 << 10}, false},
		{"63 KiB in pieces", write, []int{1, 62 << 10, 1023}, false},
		{"63 KiB of string", writeString, []int{63 << 10}, false},
		{"one byte less", write, []int{held - 1}, false},
		{"one byte less of string", writeString, []int{held - 1}, false},
		{"256 KiB", write, []int{held}, true},
		{"256 KiB of string", writeString, []int{held}, true},
		{"256 KiB in pieces", write, []int{held - 1, 1}, true},
		{"256 KiB of string in pieces", writeString, []int{held - 1, 1}, true},
		{"more at once", write, []int{held * 3}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			total, w := 0, httptest.NewRecorder()
			r := newEngine(t)
			r.GET("/", func(c *gin.Context) {
				for _, n := range tt.pieces {
					total += n
					tt.write(c, n)
				}
				if got := w.Body.Len() > 0; got != tt.sent {
					t.Errorf("sent: got %v, want %v", got, tt.sent)
				}
				if got := c.Writer.Size(); got != total {
					t.Errorf("size: got %v, want %v", got, total)
				}
			})
			r.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if got := w.Body.Len(); got != total {
				t.Errorf("body: got %v bytes, want %v", got, total)
			}
		})
	}
}

func TestWriter_longBodyIsIntactAndInOrder(t *testing.T) {
	r := newEngine(t)
	var want bytes.Buffer
	for i := range 40000 {
		fmt.Fprintf(&want, "%d,", i)
	}
	r.GET("/", func(c *gin.Context) {
		set(c)
		rest := want.Bytes()
		for i := 0; len(rest) > 0; i++ {
			n := min(1+i%5000, len(rest))
			var err error
			if i%2 == 0 {
				_, err = c.Writer.Write(rest[:n])
			} else {
				_, err = c.Writer.WriteString(string(rest[:n]))
			}
			if err != nil {
				t.Error(err)
			}
			rest = rest[n:]
		}
	})
	w := do(t, r, "GET", "/")
	if got := w.Body.String(); got != want.String() {
		t.Errorf("got %d bytes, want %d", len(got), want.Len())
	}
	if got := len(cookieLines(w)); got != 1 {
		t.Errorf("got %d cookies, want 1", got)
	}
}

// Buffers are used again: what one response held is in no other.
func TestWriter_buffersAreEmptied(t *testing.T) {
	r := gin.New()
	r.Use(recovery(), newSessions(t))
	r.GET("/long", func(c *gin.Context) { c.String(200, "%s", strings.Repeat("long", 1000)) })
	r.GET("/panic", func(c *gin.Context) { c.String(200, "secret"); panic("x") })
	r.GET("/bad", func(c *gin.Context) { c.String(200, "secret"); setBad(c) })
	r.GET("/x", func(c *gin.Context) { c.String(200, "x") })
	for range 50 {
		for _, path := range []string{"/long", "/panic", "/bad"} {
			do(t, r, "GET", path)
			if got, want := do(t, r, "GET", "/x").Body.String(), "x"; got != want {
				t.Fatalf("after %s: got %.80q, want %q", path, got, want)
			}
		}
	}
}

func TestWriter_eventsArriveBeforeTheHandlerEnds(t *testing.T) {
	goOn := make(chan struct{})
	stream := func(send func(*gin.Context, string)) gin.HandlerFunc {
		return func(c *gin.Context) {
			set(c)
			send(c, "one")
			wait(t, "the client", goOn)
			send(c, "two")
		}
	}
	flushed := func(c *gin.Context, s string) { c.SSEvent("e", s); c.Writer.Flush() }
	controlled := func(c *gin.Context, s string) {
		_, _ = fmt.Fprintf(c.Writer, "event:e\ndata:%s\n\n", s)
		if err := http.NewResponseController(c.Writer).Flush(); err != nil {
			t.Error(err)
		}
	}
	streamed := func(c *gin.Context, s string) { c.Stream(func(io.Writer) bool { c.SSEvent("e", s); return false }) }
	for name, send := range map[string]func(*gin.Context, string){"flush": flushed, "controller": controlled} {
		t.Run(name, func(t *testing.T) { wantEvents(t, stream(send), &goOn) })
	}
	t.Run("c.Stream", func(t *testing.T) {
		wantEvents(t, func(c *gin.Context) {
			set(c)
			words := []string{"one", "two"}
			c.Stream(func(io.Writer) bool {
				if len(words) == 1 {
					wait(t, "the client", goOn)
				}
				c.SSEvent("e", words[0])
				words = words[1:]
				return len(words) > 0
			})
		}, &goOn)
	})
	t.Run("c.Stream, one step", func(t *testing.T) { wantEvents(t, stream(streamed), &goOn) })
}

// wantEvents lets the handler go on once the first of two events has arrived.
func wantEvents(t *testing.T, h gin.HandlerFunc, goOn *chan struct{}) {
	*goOn = make(chan struct{})
	r, tr := newTraced(t)
	r.GET("/", h)
	srv := serve(t, r)
	resp := fetch(t, srv, "/")
	body := bufio.NewReader(resp.Body)
	var first strings.Builder
	for range 3 {
		line, err := body.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		first.WriteString(line)
	}
	close(*goOn)
	if got, want := first.String()+readAll(t, body), "event:e\ndata:one\n\nevent:e\ndata:two\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := len(resp.Cookies()); got != 1 {
		t.Errorf("got %d cookies, want 1", got)
	}
	srv.Close() // the handler has ended
	if len(tr.errs) != 0 {
		t.Errorf("got errors %v, want none", tr.errs)
	}
}

func TestWriter_lateChangeIsReported(t *testing.T) {
	const flush = "flush" // and no body: gin would still hijack
	leave := map[string]gin.HandlerFunc{
		flush:     func(c *gin.Context) { c.Writer.Flush() },
		"256 KiB": func(c *gin.Context) { c.String(200, "%s", strings.Repeat("x", held)) },
	}
	changes := map[string]struct {
		fn   gin.HandlerFunc
		want error
	}{"set": {set, ginsession.ErrLate}, "bad value": {setBad, ginsession.ErrValue}}
	for how, fn := range leave {
		for what, change := range changes {
			t.Run(how+"/"+what, func(t *testing.T) {
				var told []error
				r, tr := newTraced(t, ginsession.WithErrorHandler(func(c *gin.Context, err error) {
					told = append(told, err)
					if c.Errors.Last() == nil || c.Errors.Last().Err != err {
						t.Error("the error is not in c.Errors yet")
					}
					writeAnything(t, c)
				}))
				r.GET("/", func(c *gin.Context) { fn(c); change.fn(c) })
				w := do(t, r, "GET", "/")
				wantOneError(t, "c.Errors", tr.errs, change.want)
				wantOneError(t, "the error handler", told, change.want)
				if body := w.Body.String(); strings.Trim(body, "x") != "" || w.Code != 200 {
					t.Errorf("got %d %.80q", w.Code, body)
				}
				if got, want := w.Flushed, how == flush; got != want {
					t.Errorf("flushed: got %v, want %v", got, want)
				}
				if got := w.Header().Get("X-Page"); got != "" { // would leave as a trailer
					t.Errorf("the error handler's header %q is among the handler's", got)
				}
				if tr.aborted {
					t.Error("aborted")
				}
			})
		}
	}
}

// writeAnything tries all ways to write a response that is out already.
func writeAnything(t *testing.T, c *gin.Context) {
	t.Helper()
	c.Header("X-Page", "1")
	c.JSON(http.StatusTeapot, "page")
	if n, err := c.Writer.WriteString("page"); n != 4 || err != nil {
		t.Errorf("WriteString: got %v, %v", n, err)
	}
	if n, err := c.Writer.Write([]byte("page")); n != 4 || err != nil {
		t.Errorf("Write: got %v, %v", n, err)
	}
	c.Writer.WriteHeaderNow()
	c.Writer.Flush()
	if _, _, err := c.Writer.Hijack(); err == nil {
		t.Error("Hijack: got no error")
	}
}

func TestWriter_lateErrorHandlerLeavesTheContextsWriter(t *testing.T) {
	var before, after gin.ResponseWriter
	r := newEngine(t, ginsession.WithErrorHandler(func(c *gin.Context, _ error) {
		if c.Writer == before {
			t.Error("the error handler got the handler's writer")
		}
	}))
	r.GET("/", func(c *gin.Context) {
		before = c.Writer
		setBad(c)
		c.Writer.Flush()
		after = c.Writer
	})
	do(t, r, "GET", "/")
	if before != after {
		t.Error("the handler has another writer after the error page")
	}
}

func TestWriter_readAfterHeadersIsNoError(t *testing.T) {
	r, tr := newTraced(t)
	r.GET("/", func(c *gin.Context) { c.Writer.Flush(); ginsession.From(c).Len() })
	do(t, r, "GET", "/")
	if len(tr.errs) != 0 {
		t.Errorf("got errors %v, want none", tr.errs)
	}
}

func TestWriter_responseControllerReachesTheConnection(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	endless, sender := io.Pipe()
	defer sender.Close()
	tests := []struct {
		name string
		fn   func(*gin.Context, *http.ResponseController) error
		body io.Reader
	}{
		{"flush", func(_ *gin.Context, rc *http.ResponseController) error { return rc.Flush() }, nil},
		{"write deadline", func(_ *gin.Context, rc *http.ResponseController) error {
			return rc.SetWriteDeadline(time.Now().Add(time.Hour))
		}, nil},
		{"full duplex", func(_ *gin.Context, rc *http.ResponseController) error { return rc.EnableFullDuplex() }, nil},
		{"read deadline", func(c *gin.Context, rc *http.ResponseController) error {
			if err := rc.SetReadDeadline(past); err != nil {
				return err
			}
			if _, err := io.ReadAll(c.Request.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("reading after the deadline: %w", err)
			}
			return nil
		}, endless},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newEngine(t)
			r.POST("/", func(c *gin.Context) {
				set(c)
				if err := tt.fn(c, http.NewResponseController(c.Writer)); err != nil {
					t.Error(err)
				}
				c.String(200, "x")
			})
			srv := serve(t, r)
			resp, err := srv.Client().Post(srv.URL, "text/plain", tt.body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := len(resp.Cookies()); got != 1 {
				t.Errorf("got %d cookies, want 1", got)
			}
		})
	}
}

// A write deadline in the past breaks the connection: it is really set.
func TestWriter_writeDeadlineHolds(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		if err := http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(-time.Hour)); err != nil {
			t.Error(err)
		}
		c.String(200, "x")
	})
	srv := serve(t, r)
	if resp, err := srv.Client().Get(srv.URL); err == nil {
		_ = resp.Body.Close()
		t.Errorf("got %v, want a broken connection", resp.Status)
	}
}

func TestWriter_flushErrorPasses(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		setBad(c)
		if err := http.NewResponseController(c.Writer).Flush(); !errors.Is(err, ginsession.ErrValue) {
			t.Errorf("got %v, want %v", err, ginsession.ErrValue)
		}
	})
	do(t, r, "GET", "/")
}

// hijack answers on the bare connection.
func hijack(t *testing.T, c *gin.Context) {
	conn, rw, err := http.NewResponseController(c.Writer).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_, _ = rw.WriteString("HTTP/1.1 299 Ours\r\nContent-Length: 2\r\n")
	_ = http.Header{"Set-Cookie": c.Writer.Header()["Set-Cookie"]}.Write(rw)
	_, _ = rw.WriteString("\r\nhi")
	_ = rw.Flush()
}

func TestWriter_hijack(t *testing.T) {
	tests := []struct {
		name    string
		handler gin.HandlerFunc
		cookies int
		errs    int
	}{
		{"untouched", func(c *gin.Context) { hijack(t, c) }, 0, 0},
		{"changed before", func(c *gin.Context) { set(c); hijack(t, c) }, 1, 0},
		{"changed after", func(c *gin.Context) { hijack(t, c); set(c) }, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, tr := newTraced(t)
			done := make(chan struct{})
			r.GET("/", tt.handler)
			srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { defer close(done); r.ServeHTTP(w, q) }))
			resp := fetch(t, srv, "/")
			if got, want := resp.Status+" "+readAll(t, resp.Body), "299 Ours hi"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := len(resp.Cookies()); got != tt.cookies {
				t.Errorf("got %d cookies, want %d", got, tt.cookies)
			}
			wait(t, "the handler", done)
			if got := len(tr.errs); got != tt.errs {
				t.Errorf("got errors %v, want %d", tr.errs, tt.errs)
			}
		})
	}
}

// What is to be an error page is not given away.
func TestWriter_hijackOfABadSessionIsRefused(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		setBad(c)
		if _, _, err := c.Writer.Hijack(); !errors.Is(err, ginsession.ErrValue) {
			t.Errorf("got %v, want %v", err, ginsession.ErrValue)
		}
	})
	resp := fetch(t, serve(t, r), "/")
	if got, want := readAll(t, resp.Body), page; got != want || resp.StatusCode != 500 {
		t.Errorf("got %d %q, want 500 %q", resp.StatusCode, got, want)
	}
}

func TestWriter_closeNotifyPasses(t *testing.T) {
	r := newEngine(t)
	started, gone := make(chan struct{}), make(chan struct{})
	r.GET("/", func(c *gin.Context) {
		notify := c.Writer.CloseNotify()
		close(started)
		select {
		case <-notify:
			close(gone)
		case <-time.After(patience):
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", serve(t, r).URL, nil)
	go func() { <-started; cancel() }()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
	wait(t, "CloseNotify", gone)
}

// pushing is a writer of HTTP/2.
type pushing struct {
	*httptest.ResponseRecorder
	pushed []string
}

func (p *pushing) Push(target string, _ *http.PushOptions) error {
	p.pushed = append(p.pushed, target)
	return nil
}

func TestWriter_pusher(t *testing.T) {
	r := newEngine(t)
	r.GET("/none", func(c *gin.Context) {
		if p := c.Writer.Pusher(); p != nil {
			t.Errorf("got %v, want nil", p)
		}
	})
	r.GET("/", func(c *gin.Context) { _ = c.Writer.Pusher().Push("/a.css", nil) })
	do(t, r, "GET", "/none")
	w := &pushing{ResponseRecorder: httptest.NewRecorder()}
	r.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got, want := fmt.Sprint(w.pushed), "[/a.css]"; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWriter_downloadsAreIntact(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	file := writeFile(t, big)
	r := newEngine(t)
	r.Use(set)
	r.GET("/file", func(c *gin.Context) { c.File(file) })
	r.GET("/reader", func(c *gin.Context) {
		c.DataFromReader(200, int64(len(big)), "text/plain", strings.NewReader(big), nil)
	})
	srv := serve(t, r)
	for _, path := range []string{"/file", "/reader"} {
		resp := fetch(t, srv, path)
		if got := readAll(t, resp.Body); got != big {
			t.Errorf("%s: got %d bytes, want %d", path, len(got), len(big))
		}
		if got := resp.ContentLength; got != int64(len(big)) {
			t.Errorf("%s: Content-Length: got %d, want %d", path, got, len(big))
		}
		if got := len(resp.Cookies()); got != 1 {
			t.Errorf("%s: got %d cookies, want 1", path, got)
		}
	}
}

func TestWriter_rangeAndNotModified(t *testing.T) {
	file := writeFile(t, "0123456789")
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) { set(c); c.File(file) })
	first := do(t, r, "GET", "/")
	tests := []struct {
		key, value string
		code       int
		body       string
	}{
		{"Range", "bytes=2-4", 206, "234"},
		{"If-Modified-Since", first.Result().Header.Get("Last-Modified"), 304, ""},
	}
	for _, tt := range tests {
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set(tt.key, tt.value)
		w := newBrowser(r).do(req)
		if w.Code != tt.code || w.Body.String() != tt.body || len(cookieLines(w)) != 1 {
			t.Errorf("%s: got %d %q with %d cookies, want %d %q with 1", tt.key, w.Code, w.Body, len(cookieLines(w)), tt.code, tt.body)
		}
	}
}

func TestWriter_trailersArrive(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		set(c)
		c.Header("Trailer", "X-Sum")
		c.String(200, "x")
		c.Writer.Flush()
		c.Header("X-Sum", "1")
	})
	resp := fetch(t, serve(t, r), "/")
	readAll(t, resp.Body)
	if got, want := resp.Trailer.Get("X-Sum"), "1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriter_panicSavesNothing(t *testing.T) {
	tests := []struct {
		name string
		fn   gin.HandlerFunc
	}{
		{"at once", func(*gin.Context) {}},
		{"after a change", set},
		{"after a bad change", setBad},
		{"after a body", func(c *gin.Context) { set(c); c.String(200, "half") }},
		{"after a status", func(c *gin.Context) { set(c); c.Status(204) }},
		{"after headers", func(c *gin.Context) { set(c); c.Writer.WriteHeaderNow() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := &trace{}
			r := gin.New()
			r.Use(tr.watch, recovery())
			r.Use(func(c *gin.Context) { c.Header("X-Outer", "1"); c.Next() })
			r.Use(newSessions(t))
			r.GET("/", func(c *gin.Context) {
				c.Header("X-Handler", "1")
				c.Header("X-Outer", "2")
				tt.fn(c)
				panic("x")
			})
			w := do(t, r, "GET", "/")
			h := w.Result().Header
			h.Del("Vary")
			if got, want := fmt.Sprint(w.Code, w.Body, h), "500  map[X-Outer:[1]]"; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
			if len(tr.errs) != 0 {
				t.Errorf("got errors %v, want none", tr.errs)
			}
		})
	}
}

func TestWriter_panicAfterFlushSavesNothing(t *testing.T) {
	var told []error
	tr := &trace{}
	r := gin.New()
	r.Use(tr.watch, recovery(), newSessions(t, ginsession.WithErrorHandler(func(_ *gin.Context, err error) { told = append(told, err) })))
	r.GET("/", func(c *gin.Context) { c.String(200, "half"); c.Writer.Flush(); set(c); panic("x") })
	w := do(t, r, "GET", "/")
	if w.Code != 200 || w.Body.String() != "half" || len(cookieLines(w)) != 0 {
		t.Errorf("got %d %q with %d cookies", w.Code, w.Body, len(cookieLines(w)))
	}
	if len(tr.errs)+len(told) != 0 {
		t.Errorf("got errors %v %v, want none: nothing was to be saved", tr.errs, told)
	}
}

func TestWriter_panicAfterSaveKeepsTheCookie(t *testing.T) {
	r := gin.New()
	r.Use(recovery(), newSessions(t))
	r.GET("/get", get)
	r.GET("/", func(c *gin.Context) {
		set(c)
		if err := ginsession.From(c).Save(); err != nil {
			t.Error(err)
		}
		ginsession.From(c).Set("user", "bob")
		panic("x")
	})
	b := newBrowser(r)
	w := b.get("/")
	if got, want := w.Code, 500; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := w.Result().Header.Get("Cache-Control"), "no-store"; got != want {
		t.Errorf("Cache-Control: got %q, want %q", got, want)
	}
	if got, want := b.get("/get").Body.String(), "ann"; got != want {
		t.Errorf("kept: got %q, want %q", got, want)
	}
}

// A Recovery inside has answered: to us the handler has returned.
func TestWriter_panicCaughtInsideIsANormalReturn(t *testing.T) {
	r := newEngine(t)
	r.Use(recovery())
	r.GET("/get", get)
	r.GET("/", func(c *gin.Context) { set(c); panic("x") })
	b := newBrowser(r)
	w := b.get("/")
	if w.Code != 500 || w.Body.Len() != 0 {
		t.Errorf("got %d %q, want 500 and no body", w.Code, w.Body)
	}
	if got, want := b.get("/get").Body.String(), "ann"; got != want {
		t.Errorf("kept: got %q, want %q", got, want)
	}
}

func TestWriter_abortHandlerBreaksTheConnection(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) { set(c); c.String(200, "half"); panic(http.ErrAbortHandler) })
	srv := serve(t, r)
	if resp, err := srv.Client().Get(srv.URL); err == nil {
		_ = resp.Body.Close()
		t.Errorf("got %v, want a broken connection", resp.Status)
	}
}

func TestWriter_goexitSavesNothing(t *testing.T) {
	var left gin.ResponseWriter
	r := gin.New()
	var own gin.ResponseWriter
	r.Use(func(c *gin.Context) { own = c.Writer; defer func() { left = c.Writer }(); c.Next() }, newSessions(t))
	r.GET("/", func(c *gin.Context) { set(c); c.String(200, "half"); runtime.Goexit() })
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		r.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}()
	wait(t, "the handler", done)
	if w.Body.Len() != 0 || len(w.Header()["Set-Cookie"]) != 0 {
		t.Errorf("got %q with %d cookies, want nothing", w.Body, len(w.Header()["Set-Cookie"]))
	}
	if left != own {
		t.Error("gin's writer is not back")
	}
}

// newFailing has an outer middleware that sets headers, as a gzip outside does.
func newFailing(t testing.TB, opts ...ginsession.Option) (*gin.Engine, *trace) {
	t.Helper()
	tr := &trace{}
	r := gin.New()
	r.Use(tr.watch, func(c *gin.Context) {
		c.Header("X-Outer", "1")
		c.Header("Content-Encoding", "identity")
		c.Header("Content-Type", "application/json")
		c.Next()
	}, newSessions(t, opts...))
	return r, tr
}

func TestWriter_errorPageInPlaceOfTheResponse(t *testing.T) {
	tests := []struct {
		name string
		fn   gin.HandlerFunc
	}{
		{"nothing", func(*gin.Context) {}},
		{"body", func(c *gin.Context) { c.String(201, "secret") }},
		{"status", func(c *gin.Context) { c.Status(204) }},
		{"abort", func(c *gin.Context) { c.AbortWithStatusJSON(403, "secret") }},
		{"redirect", func(c *gin.Context) { c.Redirect(302, "/") }},
		{"flush", func(c *gin.Context) { c.String(200, "secret"); c.Writer.Flush(); _, _ = c.Writer.WriteString("secret") }},
		{"long body", func(c *gin.Context) { _, _ = c.Writer.WriteString(strings.Repeat("secret", held)) }},
		{"new outer headers", func(c *gin.Context) { c.Header("X-Outer", "2"); c.Header("Content-Encoding", "br") }},
		{"outer headers changed in place", func(c *gin.Context) { c.Writer.Header()["X-Outer"][0] = "2" }},
		{"outer headers deleted", func(c *gin.Context) { c.Header("X-Outer", ""); c.Header("Content-Encoding", "") }},
		{"caching", func(c *gin.Context) { c.Header("Cache-Control", "public"); c.String(200, "secret") }},
	}
	want := map[string]string{"X-Outer": "1", "Content-Encoding": "identity", "Vary": "Cookie", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Content-Type": "text/plain; charset=utf-8"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, tr := newFailing(t)
			r.GET("/", func(c *gin.Context) {
				setBad(c)
				c.Header("X-Handler", "1")
				c.Header("Content-Type", "image/png")
				c.SetCookie("other", "1", 0, "/", "", true, true)
				tt.fn(c)
			})
			w := do(t, r, "GET", "/")
			if w.Code != 500 || w.Body.String() != page {
				t.Errorf("got %d %.80q, want 500 %q", w.Code, w.Body, page)
			}
			wantHeaders(t, w.Result().Header, want)
			wantOneError(t, "c.Errors", tr.errs, ginsession.ErrValue)
			if !tr.aborted || tr.status != 500 || tr.size != len(page) {
				t.Errorf("a middleware outside saw %+v", *tr)
			}
		})
	}
}

func wantHeaders(t testing.TB, got http.Header, want map[string]string) {
	t.Helper()
	flat := map[string]string{}
	for key, values := range got {
		flat[key] = strings.Join(values, " | ")
	}
	if g, w := fmt.Sprint(flat), fmt.Sprint(want); g != w {
		t.Errorf("headers: got %v, want %v", g, w)
	}
}

func TestWriter_errorHandlers(t *testing.T) {
	tests := []struct {
		name   string
		handle func(*gin.Context, error)
		code   int
		body   string
		header string // one of the page's
	}{
		{"json", func(c *gin.Context, _ error) { c.JSON(418, "tea") }, 418, `"tea"`, "Content-Type: application/json"},
		{"nothing", func(*gin.Context, error) {}, 500, page, "X-Content-Type-Options: nosniff"},
		{"headers only", func(c *gin.Context, _ error) { c.Header("Retry-After", "9") }, 500, page, "Retry-After: 9"},
		{"redirect", func(c *gin.Context, _ error) { c.Redirect(303, "/oops") }, 303, "", "Location: /oops"},
		{"abort", func(c *gin.Context, _ error) { c.AbortWithStatus(403) }, 403, "", "X-Outer: 1"},
		{"abort with 200", func(c *gin.Context, _ error) { c.AbortWithStatus(200) }, 200, "", "X-Outer: 1"},
		{"status", func(c *gin.Context, _ error) { c.Status(403) }, 403, "", "X-Outer: 1"},
		{"body without a status", func(c *gin.Context, _ error) { _, _ = c.Writer.WriteString("x") }, 500, "x", "X-Outer: 1"},
		{"the page's own status", func(c *gin.Context, _ error) { c.Status(500) }, 500, page, "X-Outer: 1"},
		{"own caching", func(c *gin.Context, _ error) { c.Header("Cache-Control", "private"); c.Status(403) }, 403, "", "Cache-Control: private"},
		{"reads the session", func(c *gin.Context, _ error) { c.String(400, "%v", ginsession.From(c).Has("user")) }, 400, "true", "X-Outer: 1"},
		{"changes the session", func(c *gin.Context, _ error) {
			ginsession.From(c).Clear()
			ginsession.From(c).Set("user", "bob")
			c.String(400, "x")
		}, 400, "x", "X-Outer: 1"},
		{"reads the error", func(c *gin.Context, err error) {
			c.String(400, "%v", errors.Is(err, ginsession.ErrValue) && c.Errors.Last().Err == err && ginsession.From(c).Err() == err)
		}, 400, "true", "X-Outer: 1"},
	}
	for _, tt := range tests {
		for _, flush := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/flush=%v", tt.name, flush), func(t *testing.T) {
				calls := 0
				r, tr := newFailing(t, ginsession.WithErrorHandler(func(c *gin.Context, err error) { calls++; c.Header("Content-Type", ""); tt.handle(c, err) }))
				r.POST("/", func(c *gin.Context) {
					set(c)
					setBad(c)
					c.String(200, "secret")
					if flush {
						c.Writer.Flush()
						_, _ = c.Writer.WriteString("secret")
						c.Header("X-Handler", "1")
					}
				})
				w := do(t, r, "POST", "/")
				if w.Code != tt.code || w.Body.String() != tt.body {
					t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.code, tt.body)
				}
				key, value, _ := strings.Cut(tt.header, ": ")
				if got := w.Result().Header.Get(key); !strings.HasPrefix(got, value) {
					t.Errorf("%s: got %q, want %q", key, got, value)
				}
				if got := w.Header().Get("X-Handler"); got != "" {
					t.Errorf("X-Handler: got %q, want none", got)
				}
				if calls != 1 || len(cookieLines(w)) != 0 || len(tr.errs) != 1 {
					t.Errorf("got %d calls, %d cookies, errors %v; want 1, none, 1", calls, len(cookieLines(w)), tr.errs)
				}
			})
		}
	}
}

// The status that gin has noted before is no reason to write the page as well.
func TestWriter_errorHandlerOnUnknownPath(t *testing.T) {
	r := newEngine(t, ginsession.WithErrorHandler(func(c *gin.Context, _ error) { c.Status(404) }))
	r.Use(setBad)
	w := do(t, r, "GET", "/none")
	if w.Code != 404 || w.Body.Len() != 0 {
		t.Errorf("got %d %q, want 404 and no body", w.Code, w.Body)
	}
}

func TestWriter_errorHandlerThatPanics(t *testing.T) {
	r := gin.New()
	r.Use(recovery(), newSessions(t, ginsession.WithErrorHandler(func(*gin.Context, error) { panic("x") })))
	r.GET("/", func(c *gin.Context) { setBad(c); c.String(200, "secret") })
	w := do(t, r, "GET", "/")
	if w.Code != 500 || w.Body.Len() != 0 {
		t.Errorf("got %d %q, want 500 and no body", w.Code, w.Body)
	}
}

// Whoever catches that inside has nobody to tell: the response is ours.
func TestWriter_errorHandlerThatPanicsWhileStreaming(t *testing.T) {
	r := newEngine(t, ginsession.WithErrorHandler(func(*gin.Context, error) { panic("x") }))
	r.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) {
		c.String(http.StatusTeapot, "secret")
		c.Writer.WriteHeaderNow()
	}))
	r.GET("/", func(c *gin.Context) { setBad(c); c.String(200, "secret"); c.Writer.Flush() })
	w := do(t, r, "GET", "/")
	if w.Code != 500 || w.Body.Len() != 0 {
		t.Errorf("got %d %q, want 500 and no body", w.Code, w.Body)
	}
}

func TestWriter_failedCommitWhileStreaming(t *testing.T) {
	r, tr := newTraced(t)
	next := false
	r.GET("/", func(c *gin.Context) {
		c.String(200, "half")
		setBad(c)
		c.Writer.Flush()
		c.Header("X-After", "1")
		c.Status(201)
		c.Writer.WriteHeaderNow()
		for _, write := range []func() (int, error){
			func() (int, error) { return c.Writer.WriteString("more") },
			func() (int, error) { return c.Writer.Write([]byte("more")) },
			func() (int, error) { return c.Writer.WriteString(strings.Repeat("x", held)) },
		} {
			if n, err := write(); n != 0 || !errors.Is(err, ginsession.ErrValue) {
				t.Errorf("got %d, %v, want 0, %v", n, err, ginsession.ErrValue)
			}
		}
		if err := http.NewResponseController(c.Writer).Flush(); !errors.Is(err, ginsession.ErrValue) {
			t.Errorf("flush: got %v, want %v", err, ginsession.ErrValue)
		}
		if _, _, err := c.Writer.Hijack(); !errors.Is(err, ginsession.ErrValue) {
			t.Errorf("hijack: got %v, want %v", err, ginsession.ErrValue)
		}
		if !c.IsAborted() || c.Writer.Status() != 500 || c.Writer.Size() != len(page) || !c.Writer.Written() {
			t.Errorf("aborted %v, status %d, size %d, written %v", c.IsAborted(), c.Writer.Status(), c.Writer.Size(), c.Writer.Written())
		}
		set(c)
	}, func(*gin.Context) { next = true })
	w := do(t, r, "GET", "/")
	if w.Code != 500 || w.Body.String() != page {
		t.Errorf("got %d %q, want 500 %q", w.Code, w.Body, page)
	}
	if got := w.Header()["X-After"]; len(got) != 0 {
		t.Errorf("X-After: got %v, want none", got)
	}
	if next || len(cookieLines(w)) != 0 {
		t.Errorf("next handler ran: %v; %d cookies; want neither", next, len(cookieLines(w)))
	}
	wantOneError(t, "c.Errors", tr.errs, ginsession.ErrValue)
}

// The page is for the client at once, not at the end of the handler.
func TestWriter_errorPageWithoutBodyLeavesAtOnce(t *testing.T) {
	r := newEngine(t, ginsession.WithErrorHandler(func(c *gin.Context, _ error) { c.Status(403) }))
	r.GET("/", func(c *gin.Context) {
		setBad(c)
		c.Writer.Flush()
		if !c.Writer.Written() || c.Writer.Status() != 403 {
			t.Errorf("written %v, status %d; want true, 403", c.Writer.Written(), c.Writer.Status())
		}
	})
	do(t, r, "GET", "/")
}

func TestSave_putsTheCookieInTheHeaderAtOnce(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		c.SetCookie("other", "1", 0, "/", "", true, true)
		for _, user := range []string{"ann", "ann", "bob"} {
			ginsession.From(c).Set("user", user)
			if err := ginsession.From(c).Save(); err != nil {
				t.Error(err)
			}
			if got := len(c.Writer.Header()["Set-Cookie"]); got != 2 {
				t.Errorf("%s: got %d cookies, want the other and ours", user, got)
			}
		}
		ginsession.From(c).Set("user", "cleo")
	})
	r.GET("/get", get)
	b := newBrowser(r)
	if got := len(cookieLines(b.get("/"))); got != 2 {
		t.Errorf("got %d cookies, want the other and ours", got)
	}
	if got, want := b.get("/get").Body.String(), "cleo"; got != want {
		t.Errorf("kept: got %q, want %q", got, want)
	}
}

func TestSave_cookieSurvivesAHandlerThatDropsIt(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		set(c)
		_ = ginsession.From(c).Save()
		c.Writer.Header().Del("Set-Cookie")
	})
	if got := len(cookieLines(do(t, r, "GET", "/"))); got != 1 {
		t.Errorf("got %d cookies, want 1", got)
	}
}

func TestSave_errorIsTheCallers(t *testing.T) {
	big := func(c *gin.Context) { ginsession.From(c).Set("big", strings.Repeat("x", 5000)) }
	tests := []struct {
		name        string
		fail, after gin.HandlerFunc
		want        error
		code        int
		cookies     int
	}{
		{"nothing after", big, func(*gin.Context) {}, ginsession.ErrTooLarge, 200, 0},
		{"read after", big, func(c *gin.Context) { ginsession.From(c).Len() }, ginsession.ErrTooLarge, 200, 0},
		{"flush after", big, func(c *gin.Context) { c.Writer.Flush() }, ginsession.ErrTooLarge, 200, 0},
		{"change after", big, set, ginsession.ErrTooLarge, 500, 0},
		{"undone after", big, func(c *gin.Context) { ginsession.From(c).Delete("big"); set(c) }, ginsession.ErrTooLarge, 200, 1},
		{"bad value", setBad, func(*gin.Context) {}, ginsession.ErrValue, 200, 0},
		{"change after bad value", setBad, set, ginsession.ErrValue, 200, 1},
		{"bad value twice", setBad, setBad, ginsession.ErrValue, 500, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			told := 0
			r, tr := newTraced(t, ginsession.WithErrorHandler(func(*gin.Context, error) { told++ }))
			r.GET("/", func(c *gin.Context) {
				tt.fail(c)
				if err := ginsession.From(c).Save(); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				c.String(200, "mine")
				tt.after(c)
			})
			w := do(t, r, "GET", "/")
			if body := map[int]string{200: "mine", 500: page}[tt.code]; w.Code != tt.code || w.Body.String() != body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.code, body)
			}
			if want := btoi(tt.code == 500); told != want || len(tr.errs) != want {
				t.Errorf("told %d times, errors %v; want %d", told, tr.errs, want)
			}
			if got := len(cookieLines(w)); got != tt.cookies {
				t.Errorf("got %d cookies, want %d", got, tt.cookies)
			}
		})
	}
}

func TestSave_afterHeadersIsLate(t *testing.T) {
	r, tr := newTraced(t)
	r.GET("/", func(c *gin.Context) {
		c.Writer.Flush()
		set(c)
		if err := ginsession.From(c).Save(); !errors.Is(err, ginsession.ErrLate) {
			t.Errorf("got %v, want %v", err, ginsession.ErrLate)
		}
	})
	do(t, r, "GET", "/")
	if len(tr.errs) != 0 {
		t.Errorf("got errors %v, want none: the caller has it", tr.errs)
	}
}

func TestSave_afterTheRequestIsLate(t *testing.T) {
	tests := []struct {
		name    string
		handler gin.HandlerFunc
	}{
		{"returned", func(*gin.Context) {}},
		{"panicked", func(*gin.Context) { panic("x") }},
		{"failed", setBad},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s *ginsession.Session
			r := gin.New()
			r.Use(recovery(), newSessions(t), func(c *gin.Context) { s = ginsession.From(c.Copy()); c.Next() })
			r.GET("/", tt.handler)
			w := do(t, r, "GET", "/")
			_ = s.Save() // what is left of a bad value
			s.Set("user", "ann")
			if err := s.Save(); !errors.Is(err, ginsession.ErrLate) {
				t.Errorf("got %v, want %v", err, ginsession.ErrLate)
			}
			if got := w.Header()["Set-Cookie"]; len(got) != 0 {
				t.Errorf("got %d cookies, want none", len(got))
			}
		})
	}
}

func TestSave_afterTheRequestLeavesTheHeadersAlone(t *testing.T) {
	var s *ginsession.Session
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) { s = ginsession.From(c.Copy()) })
	w := do(t, r, "GET", "/")
	s.Len()
	if err := s.Save(); err != nil {
		t.Errorf("got %v, want nil: nothing has changed", err)
	}
	if got := w.Header(); len(got) != 0 {
		t.Errorf("got %v, want no headers", got)
	}
}

func TestVary_isMergedAndNotRepeated(t *testing.T) {
	vary := func(values ...string) gin.HandlerFunc {
		return func(c *gin.Context) { c.Writer.Header()["Vary"] = values }
	}
	read := func(c *gin.Context) { ginsession.From(c).Len() }
	save := func(c *gin.Context) { set(c); _ = ginsession.From(c).Save() }
	tests := []struct {
		name     string
		handlers []gin.HandlerFunc
		want     string
	}{
		{"untouched", []gin.HandlerFunc{vary("Origin")}, "[Origin]"},
		{"none", []gin.HandlerFunc{read}, "[Cookie]"},
		{"another", []gin.HandlerFunc{vary("Accept-Encoding"), read}, "[Accept-Encoding Cookie]"},
		{"another after", []gin.HandlerFunc{read, vary("Accept-Encoding")}, "[Accept-Encoding Cookie]"},
		{"another after Save", []gin.HandlerFunc{save, vary("Accept-Encoding")}, "[Accept-Encoding Cookie]"},
		{"after Save", []gin.HandlerFunc{save, read}, "[Cookie]"},
		{"in a list", []gin.HandlerFunc{vary("Origin, cookie"), read}, "[Origin, cookie]"},
		{"lower case", []gin.HandlerFunc{vary("cookie"), read}, "[cookie]"},
		{"in a second line", []gin.HandlerFunc{vary("Origin", "COOKIE"), read}, "[Origin COOKIE]"},
		{"everything", []gin.HandlerFunc{vary("*"), read}, "[*]"},
		{"part of a name", []gin.HandlerFunc{vary("X-Cookie"), read}, "[X-Cookie Cookie]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newEngine(t)
			r.GET("/", tt.handlers...)
			if got := fmt.Sprint(do(t, r, "GET", "/").Result().Header["Vary"]); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCacheControl_noStoreWithACookie(t *testing.T) {
	save := func(c *gin.Context) { set(c); _ = ginsession.From(c).Save() }
	own := func(c *gin.Context) { c.Header("Cache-Control", "private") }
	tests := []struct {
		name     string
		handlers []gin.HandlerFunc
		want     string
	}{
		{"read", []gin.HandlerFunc{get}, "[]"},
		{"changed", []gin.HandlerFunc{set}, "[no-store]"},
		{"saved", []gin.HandlerFunc{save}, "[no-store]"},
		{"own", []gin.HandlerFunc{own, set}, "[private]"},
		{"own after", []gin.HandlerFunc{set, own}, "[private]"},
		{"own after Save", []gin.HandlerFunc{save, own}, "[private]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newEngine(t)
			r.GET("/", tt.handlers...)
			if got := fmt.Sprint(do(t, r, "GET", "/").Result().Header["Cache-Control"]); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A middleware inside may leave its own writer in the context, as gzip does:
// gin's body of 404 goes through it, but no error page.
func TestWriter_wrappedInside(t *testing.T) {
	wrap := func(c *gin.Context) { c.Writer = &upper{c.Writer}; c.Next() }
	tests := []struct {
		name string
		path string
		code int
		body string
	}{
		{"not found", "/none", 404, "404 PAGE NOT FOUND"},
		{"found", "/", 200, "X"},
		{"failed", "/bad", 500, page},
		{"panicked", "/panic", 500, "panic"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := gin.New()
			r.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.String(500, "panic") }))
			r.Use(newSessions(t), wrap)
			r.GET("/", func(c *gin.Context) { set(c); c.String(200, "x") })
			r.GET("/bad", func(c *gin.Context) { setBad(c); c.String(200, "x") })
			r.GET("/panic", func(c *gin.Context) { set(c); c.String(200, "x"); panic("x") })
			w := do(t, r, "GET", tt.path)
			if w.Code != tt.code || w.Body.String() != tt.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.code, tt.body)
			}
		})
	}
}

// A middleware outside that answers where nobody has finds a writer that works,
// also where it is one that was left inside.
func TestWriter_answeredOutside(t *testing.T) {
	wrap := func(c *gin.Context) { c.Writer = &upper{c.Writer}; c.Next() }
	answers := map[string]gin.HandlerFunc{
		"tea": func(c *gin.Context) { c.String(418, "tea") },
		"":    func(c *gin.Context) { c.AbortWithStatus(418) },
	}
	for body, answer := range answers {
		for _, inside := range []gin.HandlerFunc{func(*gin.Context) {}, wrap} {
			r := gin.New()
			r.Use(func(c *gin.Context) {
				c.Next()
				answer(c)
				if !c.Writer.Written() || c.Writer.Status() != 418 || c.Writer.Size() != len(body) {
					t.Errorf("status %d, size %d, written %v", c.Writer.Status(), c.Writer.Size(), c.Writer.Written())
				}
			}, newSessions(t), inside)
			r.GET("/", set)
			w := do(t, r, "GET", "/")
			if w.Code != 418 || !strings.EqualFold(w.Body.String(), body) || len(cookieLines(w)) != 1 {
				t.Errorf("got %d %q with %d cookies, want 418 %q with 1", w.Code, w.Body, len(cookieLines(w)), body)
			}
		}
	}
}

// noting notes the status that it is told.
type noting struct {
	gin.ResponseWriter
	told []int
}

func (n *noting) WriteHeader(code int) {
	n.told = append(n.told, code)
	n.ResponseWriter.WriteHeader(code)
}

// A writer outside (gzip) takes a status that it is told for the handler's.
func TestWriter_statusThatNobodySet(t *testing.T) {
	tests := []struct {
		name    string
		handler gin.HandlerFunc
		want    string
	}{
		{"empty", func(*gin.Context) {}, "[]"},
		{"body", func(c *gin.Context) { _, _ = c.Writer.WriteString("x") }, "[]"},
		{"set", func(c *gin.Context) { c.Status(204) }, "[204]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := &noting{}
			r := gin.New()
			r.Use(func(c *gin.Context) { n.ResponseWriter, c.Writer = c.Writer, n; c.Next() }, newSessions(t))
			r.GET("/", tt.handler)
			do(t, r, "GET", "/")
			if got := fmt.Sprint(n.told); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// upper writes in capitals.
type upper struct{ gin.ResponseWriter }

func (u *upper) Write(p []byte) (int, error)       { return u.ResponseWriter.Write(bytes.ToUpper(p)) }
func (u *upper) WriteString(s string) (int, error) { return u.Write([]byte(s)) }

// A session outside that holds the response back lets go of it when the one
// inside does.
func TestWriter_twoHeldBackResponses(t *testing.T) {
	outer := newSessions(t, ginsession.WithName("shop"), ginsession.WithContextKey("shop"))
	r := gin.New()
	r.Use(outer, newSessions(t))
	started := make(chan net.Conn, 1)
	r.GET("/stream", func(c *gin.Context) {
		set(c)
		c.MustGet("shop").(*ginsession.Session).Set("cart", 1)
		c.String(202, "a")
		c.Writer.Flush()
		c.String(202, "b")
		if !c.Writer.Written() || c.Writer.Size() != 2 {
			t.Errorf("written %v, size %d", c.Writer.Written(), c.Writer.Size())
		}
	})
	r.GET("/hijack", func(c *gin.Context) {
		conn, _, err := c.Writer.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		started <- conn
	})
	w := do(t, r, "GET", "/stream")
	if w.Code != 202 || w.Body.String() != "ab" || len(cookieLines(w)) != 2 || !w.Flushed {
		t.Errorf("got %d %q with %d cookies, flushed %v", w.Code, w.Body, len(cookieLines(w)), w.Flushed)
	}
	srv := serve(t, r)
	if resp, err := func() (*http.Response, error) {
		go func() { _ = (<-started).Close() }()
		return srv.Client().Get(srv.URL + "/hijack")
	}(); err == nil {
		_ = resp.Body.Close()
		t.Errorf("got %v, want a connection closed by the handler", resp.Status)
	}
}

// After a panic nothing more can be put into the cookie, and the session says
// so to a goroutine that tries.
func TestWriter_changeAfterPanic(t *testing.T) {
	r := gin.New()
	r.Use(recovery(), mustNew(t, secret))
	var s *ginsession.Session
	r.GET("/", func(c *gin.Context) {
		s = ginsession.From(c)
		panic("the handler's")
	})
	do(t, r, http.MethodGet, "/")
	if s.Set("a", 1); !errors.Is(s.Err(), ginsession.ErrLate) {
		t.Errorf("got %v, want ErrLate", s.Err())
	}
}
