package response_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/response"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

// session is a [response.Owner] that needs a cookie if it was changed since its
// last commit.
type session struct {
	writer  response.Writer
	outer   *session // or nil
	changed bool
	saved   bool  // a cookie is to be told by Pending or Settle
	fails   error // of the next commit
}

const line = "sid=1; Path=/"

func (s *session) Commit(h http.Header) (err error) {
	switch err, s.fails = s.fails, nil; {
	case err != nil:
	case s.changed && h == nil:
		err = sessionerr.ErrTooLate
	case s.changed:
		h.Add("Set-Cookie", line)
	}
	s.changed = false
	return err
}

func (s *session) Hold(h http.Header) error {
	if s.fails != nil && !errors.Is(s.fails, sessionerr.ErrEnded) {
		return s.fails
	}
	return s.Commit(h)
}

func (s *session) Pending(h http.Header) {
	if s.saved {
		s.saved = false
		h.Add("Set-Cookie", line)
	}
}

func (s *session) Settle(_ *gin.Context, h http.Header) { s.Pending(h) }

// hold is a middleware that holds responses back for a session.
func hold(limit int, onError func(*gin.Context, error)) gin.HandlerFunc {
	config := response.Config{Limit: limit, OnError: onError}
	return func(c *gin.Context) {
		s := &session{}
		var outer *response.Writer
		if v, ok := c.Get("session"); ok {
			s.outer = v.(*session)
			outer = &s.outer.writer
			defer c.Set("session", s.outer)
		}
		c.Set("session", s)
		s.writer.Enter(&config, s, c, outer)
		c.Writer = &s.writer
		defer s.writer.Leave()
		c.Next()
		s.writer.Finish()
	}
}

const limit = 256 << 10 // bytes of a body that are held back

func of(c *gin.Context) *session { return c.MustGet("session").(*session) }
func change(c *gin.Context)      { of(c).changed = true }
func fail(c *gin.Context)        { of(c).fails = sessionerr.ErrValue }
func nothing(*gin.Context)       {}

// seen is what a middleware outside sees of a response, and what the client gets.
type seen struct {
	*httptest.ResponseRecorder
	errs    []*gin.Error
	aborted bool
	outside string
	own     bool // gin's writer is back
}

func (s *seen) cookies() int { return len(s.Result().Header["Set-Cookie"]) }

// want fails unless the client got this, and c.Errors has just err, or nothing.
func (s *seen) want(t *testing.T, name string, code int, body string, cookies int, err error) {
	t.Helper()
	row{name, nil, code, body, cookies, err, ""}.check(t, s.Code, s.Body.String(), s.cookies(), s.errs)
}

// row is what a handler does, and what comes of it by [seen.want].
type row struct {
	name    string
	do      gin.HandlerFunc
	code    int
	body    string
	cookies int
	err     error
	outside string // as a middleware outside sees it
}

func (r row) check(t *testing.T, code int, body string, cookies int, errs []*gin.Error) {
	t.Helper()
	if code != r.code || body != r.body || cookies != r.cookies {
		t.Errorf("%s: got %d %.80q with %d cookies, want %d %.80q with %d", r.name, code, body, cookies, r.code, r.body, r.cookies)
	}
	if r.err == nil && len(errs) != 0 || r.err != nil && (len(errs) != 1 || !errors.Is(errs[0].Err, r.err)) {
		t.Errorf("%s: got %v in c.Errors, want %v", r.name, errs, r.err)
	}
}

func describe(w gin.ResponseWriter) string {
	return fmt.Sprintf("status %d, size %d, written %v", w.Status(), w.Size(), w.Written())
}

// play answers one request by these handlers.
func play(handlers ...gin.HandlerFunc) *seen { return playAt("GET", "/", handlers...) }

func playAt(method, path string, handlers ...gin.HandlerFunc) *seen {
	s := &seen{ResponseRecorder: httptest.NewRecorder()}
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.Use(func(c *gin.Context) {
		before := c.Writer
		defer func() {
			s.errs, s.aborted, s.outside, s.own = c.Errors, c.IsAborted(), describe(c.Writer), c.Writer == before
		}()
		c.Next()
	})
	r.Use(handlers[:len(handlers)-1]...)
	r.Handle(method, "/", handlers[len(handlers)-1])
	r.Handle(method, "/only", nothing)
	if path == "/only" {
		method = "DELETE"
	}
	r.ServeHTTP(s, httptest.NewRequest(method, path, nil))
	return s
}

// recovery is [gin.Recovery] without its log.
func recovery() gin.HandlerFunc { return gin.RecoveryWithWriter(io.Discard) }

// serveHandlers starts a server that answers every GET and POST by these handlers.
func serveHandlers(t *testing.T, handlers ...gin.HandlerFunc) *httptest.Server {
	t.Helper()
	r := gin.New()
	r.Any("/", handlers...)
	return apptest.Serve(t, false, r)
}

var much = strings.Repeat("x", 5000) // more than net/http holds back

// answers are what handlers do that is to be answered with a session as it is
// without one, byte by byte.
var answers = []struct {
	name string
	do   gin.HandlerFunc
}{
	{"empty", nothing},
	{"status", func(c *gin.Context) { c.Status(204) }},
	{"status 418", func(c *gin.Context) { c.Status(418) }},
	{"status now", func(c *gin.Context) { c.Status(201); c.Writer.WriteHeaderNow() }},
	{"status twice", func(c *gin.Context) { c.Status(201); c.Status(202) }},
	{"status -1", func(c *gin.Context) { c.Status(201); c.Status(-1) }},
	{"status after body", func(c *gin.Context) { c.String(200, "a"); c.Status(500) }},
	{"status after flush", func(c *gin.Context) { c.Writer.Flush(); c.Status(500) }},
	{"status after no bytes", func(c *gin.Context) { _, _ = c.Writer.Write(nil); c.Status(500) }},
	{"now after flush", func(c *gin.Context) { c.Writer.Flush(); c.Writer.WriteHeaderNow() }},
	{"string", func(c *gin.Context) { c.String(201, "héllo %d", 1) }},
	{"json", func(c *gin.Context) { c.JSON(200, gin.H{"a": 1}) }},
	{"json twice", func(c *gin.Context) { c.JSON(200, 1); c.JSON(500, 2) }},
	{"json after flush", func(c *gin.Context) { c.Writer.Flush(); c.JSON(500, 1) }},
	{"data", func(c *gin.Context) { c.Data(200, "image/png", []byte{1, 2, 3}) }},
	{"sniffed", func(c *gin.Context) { _, _ = c.Writer.WriteString("<"); _, _ = c.Writer.WriteString("html>") }},
	{"no type", func(c *gin.Context) { c.Writer.Header()["Content-Type"] = nil; c.String(200, "x") }},
	{"no bytes", func(c *gin.Context) { _, _ = c.Writer.Write(nil) }},
	{"no string", func(c *gin.Context) { _, _ = c.Writer.WriteString("") }},
	{"204 with a body", func(c *gin.Context) { c.Status(204); _, _ = c.Writer.WriteString("hello") }},
	{"204 by gin", func(c *gin.Context) { c.String(204, "dropped by gin") }},
	{"204 with nothing", func(c *gin.Context) { c.Status(204); c.String(-1, "") }},
	{"304 with a body", func(c *gin.Context) { c.Status(304); _, _ = c.Writer.WriteString("hello") }},
	{"304 with a length", func(c *gin.Context) { c.Header("Content-Length", "1234"); c.AbortWithStatus(304) }},
	{"103, then 200", func(c *gin.Context) { c.Writer.WriteHeader(103); c.String(200, "hello") }},
	{"closed", func(c *gin.Context) { c.Header("Connection", "close"); c.String(200, "x") }},
	{"abort", func(c *gin.Context) { c.AbortWithStatus(403) }},
	{"abort with json", func(c *gin.Context) { c.AbortWithStatusJSON(403, gin.H{"a": 1}) }},
	{"abort after body", func(c *gin.Context) { c.String(200, "a"); c.AbortWithStatus(403) }},
	{"redirect", func(c *gin.Context) { c.Redirect(303, "/there") }},
	{"file", func(c *gin.Context) { c.File(c.GetString("file")) }},
	{"attachment", func(c *gin.Context) { c.FileAttachment(c.GetString("file"), "a.bin") }},
	{"no file", func(c *gin.Context) { c.File("none") }},
	{"part of a file", func(c *gin.Context) { c.Request.Header.Set("Range", "bytes=2-4"); c.File(c.GetString("file")) }},
	{"file not modified", func(c *gin.Context) {
		c.Request.Header.Set("If-Modified-Since", time.Now().UTC().Format(http.TimeFormat))
		c.File(c.GetString("file"))
	}},
	{"reader", func(c *gin.Context) { c.DataFromReader(200, -1, "text/plain", strings.NewReader("abc"), nil) }},
	{"large reader", func(c *gin.Context) {
		c.DataFromReader(200, 1<<20, "text/plain", strings.NewReader(strings.Repeat("y", 1<<20)), map[string]string{"X-A": "b"})
	}},
	{"reader that fails", func(c *gin.Context) {
		c.DataFromReader(200, 100, "text/plain", io.MultiReader(strings.NewReader("abc"), brokenReader{}), nil)
	}},
	{"large write", func(c *gin.Context) { _, _ = c.Writer.Write(bytes.Repeat([]byte("x"), 300<<10)) }},
	{"large string", func(c *gin.Context) { c.String(200, strings.Repeat("x", 300<<10)) }},
	{"many writes", func(c *gin.Context) {
		for i := range 3000 {
			_, _ = c.Writer.Write([]byte(strings.Repeat(strconv.Itoa(i), 15)))
			_, _ = c.Writer.WriteString(strings.Repeat(strconv.Itoa(-i), 15))
		}
	}},
	{"flush", func(c *gin.Context) { c.Status(202); c.Writer.Flush() }},
	{"flush between", func(c *gin.Context) { c.String(200, "a"); c.Writer.Flush(); c.String(200, "b") }},
	{"event", func(c *gin.Context) { c.SSEvent("a", "b"); c.Writer.Flush(); c.SSEvent("c", "d") }},
	{"stream", func(c *gin.Context) { n := 0; c.Stream(func(w io.Writer) bool { n++; fmt.Fprint(w, n); return n < 5 }) }},
	{"headers", func(c *gin.Context) { c.Header("X-Outer", ""); c.Writer.Header().Add("X-A", "b"); c.String(200, "a") }},
	{"length too short", func(c *gin.Context) { c.Header("Content-Length", "5"); c.String(200, "hello"); c.String(200, "\n") }},
	{"length too long", func(c *gin.Context) { c.Header("Content-Length", "50"); c.String(200, "hello") }},
	{"trailer", func(c *gin.Context) { c.Header("Trailer", "X-Sum, X-None"); c.String(200, "x"); c.Header("X-Sum", "1") }},
	{"trailer after much", func(c *gin.Context) { c.Header("Trailer", "X-Sum"); c.String(200, much); c.Header("X-Sum", "1") }},
	{"trailer after flush", func(c *gin.Context) {
		c.Header("Trailer", "X-A")
		c.String(200, "x")
		c.Writer.Flush()
		c.Header("X-A", "1")
	}},
	{"trailer alone", func(c *gin.Context) { c.Header("Trailer", "X-Sum"); c.Header("X-Sum", "1") }},
	{"204 with a late length", func(c *gin.Context) { c.Status(204); c.Writer.Write([]byte("x")); c.Header("Content-Length", "23") }},
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the disk is broken") }

// early are the answers that leave while the handler goes on.
var early = regexp.MustCompile("after flush|^flush|^event$|^stream$|large|many|^file|^attachment$")

// TestWriter_answersAsGin compares what a client gets, and what the handler and
// a middleware outside see, without a session and with one: left alone, changed
// before the handler, and changed after it, when a cookie leaves all the same
// unless the headers have left.
func TestWriter_answersAsGin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 30<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	after := func(c *gin.Context) { c.Next(); change(c) }
	for _, http2 := range []bool{false, true} {
		want, _ := answersOf(t, http2, file)
		for when, middleware := range map[string]gin.HandlerFunc{"never": nothing, "before": change, "after": after} {
			answers, cookies := answersOf(t, http2, file, hold(limit, nil), middleware)
			for request, got := range answers {
				if got != want[request] {
					t.Errorf("%s, HTTP/2 %v, changed %s:\n got %s\nwant %s", request, http2, when, got, want[request])
				}
				_, name, _ := strings.Cut(request, " ")
				if n := cookies[request]; (n != 0) != (when != "never") && (when != "after" || !early.MatchString(name)) {
					t.Errorf("%s, HTTP/2 %v, changed %s: got %d cookies", request, http2, when, n)
				}
			}
		}
	}
}

// answersOf returns what is answered to each request, but for the cookies, and
// how many of those there are.
func answersOf(t *testing.T, http2 bool, file string, session ...gin.HandlerFunc) (got map[string]string, cookies map[string]int) {
	t.Helper()
	inside, outside := "", make(chan string, 1)
	r := gin.New()
	r.Use(func(c *gin.Context) {
		c.Header("X-Outer", "1")
		c.Set("file", file)
		c.Next()
		outside <- describe(c.Writer)
	})
	r.Use(session...)
	for i, a := range answers {
		r.Any(fmt.Sprint("/", i), func(c *gin.Context) { a.do(c); inside = describe(c.Writer) })
	}
	srv := apptest.Serve(t, http2, r)
	got, cookies = map[string]string{}, map[string]int{}
	for i, a := range answers {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			if method == "HEAD" && a.name == "stream" || method == "POST" && a.name != "redirect" {
				continue // a stream ends when the client goes, which has all that it gets; only a redirect looks at the rest
			}
			resp, body, err := apptest.Fetch(t, srv, method, fmt.Sprint("/", i))
			if resp == nil {
				t.Fatal(err)
			}
			saw := <-outside
			if http2 && method == "HEAD" {
				saw = "anything" // the client goes when it has the headers; the rest is written to nobody, or not
			} else if a.name != "length too short" { // of which the handler sees all
				saw += ", inside " + inside
			}
			cookies[method+" "+a.name] = len(resp.Header["Set-Cookie"])
			for _, name := range []string{"Date", "Last-Modified", "Set-Cookie"} {
				resp.Header.Del(name)
			}
			got[method+" "+a.name] = fmt.Sprintf("%d, %d bytes announced, %v, %.40q… of %d, sum %x, %v, trailer %v, outside %s",
				resp.StatusCode, resp.ContentLength, resp.Header, body, len(body), crc32.ChecksumIEEE([]byte(body)), err, resp.Trailer, saw)
		}
	}
	return got, cookies
}

// TestWriter_notFound changes the session if there is no route: gin writes the
// body after the last middleware, unless one has answered.
func TestWriter_notFound(t *testing.T) {
	const silent = "status 404, size -1, written false"
	for _, tt := range []row{
		{"untouched", nothing, 404, "404 page not found", 0, nil, silent},
		{"changed", change, 404, "404 page not found", 1, nil, silent},
		{"changed after next", func(c *gin.Context) { c.Next(); change(c) }, 404, "404 page not found", 1, nil, silent},
		{"json", func(c *gin.Context) { change(c); c.JSON(404, "none") }, 404, `"none"`, 1, nil, "status 404, size 6, written true"},
		{"abort with 404", func(c *gin.Context) { change(c); c.AbortWithStatus(404) }, 404, "", 1, nil, "status 404, size 0, written true"},
		{"another status", func(c *gin.Context) { change(c); c.Status(410) }, 410, "", 1, nil, "status 410, size -1, written false"},
		{"sees 404", func(c *gin.Context) { change(c); c.String(200, "%d", c.Writer.Status()) }, 200, "404", 1, nil, "status 200, size 3, written true"},
		{"fails", fail, 500, page, 0, sessionerr.ErrValue, "status 500, size 22, written true"},
		{"fails after 404", func(c *gin.Context) { fail(c); c.JSON(404, "none") }, 500, page, 0, sessionerr.ErrValue, "status 500, size 22, written true"},
	} {
		w := playAt("GET", "/none", hold(limit, nil), tt.do, nothing)
		if w.want(t, tt.name, tt.code, tt.body, tt.cookies, tt.err); w.outside != tt.outside {
			t.Errorf("%s: got %s outside, want %s", tt.name, w.outside, tt.outside)
		}
	}
	playAt("GET", "/only", hold(limit, nil), change, nothing).want(t, "not allowed", 405, "405 method not allowed", 1, nil)
}

// TestWriter_Write_noContent: to write nothing is no error if nothing may be
// written.
func TestWriter_Write_noContent(t *testing.T) {
	play(hold(limit, nil), func(c *gin.Context) {
		c.Status(http.StatusNoContent)
		_, err := c.Writer.Write(nil)
		_, other := c.Writer.WriteString("")
		if _, body := c.Writer.WriteString("x"); err != nil || other != nil || !errors.Is(body, http.ErrBodyNotAllowed) {
			t.Errorf("got %v, %v and %v, want nil, nil and %v", err, other, body, http.ErrBodyNotAllowed)
		}
	})
}

// TestWriter_Flush_events: an event reaches the client before the next is sent.
func TestWriter_Flush_events(t *testing.T) {
	for name, flush := range map[string]func(*gin.Context) error{
		"flush":      func(c *gin.Context) error { c.Writer.Flush(); return nil },
		"controller": func(c *gin.Context) error { return http.NewResponseController(c.Writer).Flush() },
		"stream":     func(c *gin.Context) error { c.Stream(func(io.Writer) bool { return false }); return nil },
	} {
		goOn := make(chan struct{})
		fails := func(_ *gin.Context, err error) { t.Errorf("%s: got %v, want no errors", name, err) }
		srv := serveHandlers(t, hold(limit, fails), change, func(c *gin.Context) {
			c.SSEvent("e", "one")
			first := flush(c)
			apptest.Wait(t, "the client", goOn)
			c.SSEvent("e", "two")
			if err := errors.Join(first, flush(c)); err != nil {
				t.Errorf("%s: got %v, want nil", name, err)
			}
		})
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, len("event:e\ndata:one\n\n"))
		if _, err := io.ReadFull(resp.Body, first); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		close(goOn)
		rest, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got, want := string(first)+string(rest), "event:e\ndata:one\n\nevent:e\ndata:two\n\n"; got != want || err != nil || len(resp.Cookies()) != 1 {
			t.Errorf("%s: got %q, %v and %d cookies, want %q, nil and 1", name, got, err, len(resp.Cookies()), want)
		}
	}
}

// TestWriter_lateChange: what cannot be saved any more is in c.Errors, and the
// error handler hears of it, but writes to nobody.
func TestWriter_lateChange(t *testing.T) {
	leave := map[string]gin.HandlerFunc{
		"flush":   func(c *gin.Context) { c.Writer.Flush() },
		"much":    func(c *gin.Context) { c.String(200, "%s", strings.Repeat("x", limit)) },
		"outside": func(c *gin.Context) { _, _ = c.MustGet("own").(gin.ResponseWriter).WriteString("x") },
	}
	changes := map[error]gin.HandlerFunc{
		sessionerr.ErrLate:    change,
		sessionerr.ErrValue:   fail,
		sessionerr.ErrUnknown: func(c *gin.Context) { of(c).fails = sessionerr.ErrEnded },
	}
	for how, leave := range leave {
		for want, change := range changes {
			told := 0
			w := play(func(c *gin.Context) { c.Set("own", c.Writer) }, hold(limit, func(c *gin.Context, err error) {
				if told++; c.Errors.Last() == nil || c.Errors.Last().Err != err {
					t.Error("the error is not in c.Errors yet")
				}
				writeAnything(t, c)
			}), func(c *gin.Context) { leave(c); change(c) })
			w.want(t, how, 200, w.Body.String(), 0, want)
			if told == 1 == errors.Is(want, sessionerr.ErrUnknown) || w.aborted {
				t.Errorf("%s, %v: told %d times, aborted %v", how, want, told, w.aborted)
			}
			if strings.Trim(w.Body.String(), "x") != "" || w.Flushed != (how == "flush") || w.Header().Get("X-Page") != "" {
				t.Errorf("%s, %v: got %.80q, flushed %v, header %q: the error handler has written", how, want, w.Body, w.Flushed, w.Header().Get("X-Page"))
			}
		}
	}
}

// TestWriter_Finish_ended: the end of a session is no reason to replace the
// response.
func TestWriter_Finish_ended(t *testing.T) {
	told := func(_ *gin.Context, err error) { t.Errorf("the error handler hears of %v", err) }
	play(hold(limit, told), func(c *gin.Context) { c.String(200, "x"); of(c).fails = sessionerr.ErrEnded }).want(t, "ended", 200, "x", 0, sessionerr.ErrUnknown)
}

// writeAnything tries all ways to write a response that is out already.
func writeAnything(t *testing.T, c *gin.Context) {
	t.Helper()
	c.Header("X-Page", "1")
	c.JSON(http.StatusTeapot, "page")
	for _, write := range []func() (int, error){
		func() (int, error) { return c.Writer.WriteString("page") },
		func() (int, error) { return c.Writer.Write([]byte("page")) },
	} {
		if n, err := write(); n != 4 || err != nil {
			t.Errorf("got %d and %v, want 4 and nil", n, err)
		}
	}
	c.Writer.WriteHeaderNow()
	c.Writer.Flush()
	if _, _, err := c.Writer.Hijack(); err == nil {
		t.Error("Hijack: got nil, want an error")
	}
}

// TestWriter_Unwrap reaches the connection.
func TestWriter_Unwrap(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	endless, sender := io.Pipe()
	defer sender.Close()
	tests := []struct {
		name   string
		fn     func(*gin.Context, *http.ResponseController) error
		body   io.Reader
		broken bool
	}{
		{"write deadline", func(_ *gin.Context, rc *http.ResponseController) error { return rc.SetWriteDeadline(past) }, nil, true},
		{"full duplex", func(_ *gin.Context, rc *http.ResponseController) error { return rc.EnableFullDuplex() }, nil, false},
		{"read deadline", func(c *gin.Context, rc *http.ResponseController) error {
			err := rc.SetReadDeadline(past)
			if _, read := io.ReadAll(c.Request.Body); !errors.Is(read, os.ErrDeadlineExceeded) {
				return fmt.Errorf("reading after the deadline: %w", read)
			}
			return err
		}, endless, false},
	}
	for _, tt := range tests {
		srv := serveHandlers(t, hold(limit, nil), change, func(c *gin.Context) {
			if err := tt.fn(c, http.NewResponseController(c.Writer)); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			c.String(200, "x")
		})
		resp, err := srv.Client().Post(srv.URL, "text/plain", tt.body)
		if broken := err != nil; broken != tt.broken {
			t.Errorf("%s: got %v, want a broken connection: %v", tt.name, err, tt.broken)
		}
		if err == nil {
			if _ = resp.Body.Close(); len(resp.Cookies()) != 1 {
				t.Errorf("%s: got %d cookies, want 1", tt.name, len(resp.Cookies()))
			}
		}
	}
}

// takeOver answers on the bare connection.
func takeOver(c *gin.Context) {
	conn, rw, err := http.NewResponseController(c.Writer).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = rw.WriteString("HTTP/1.1 299 Ours\r\nContent-Length: 2\r\n")
	_ = http.Header{"Set-Cookie": c.Writer.Header()["Set-Cookie"]}.Write(rw)
	_, _ = rw.WriteString("\r\nhi")
	_ = rw.Flush()
}

func TestWriter_Hijack(t *testing.T) {
	check := func(tt row, sessions ...gin.HandlerFunc) {
		t.Helper()
		errs := make(chan []*gin.Error, 1)
		watch := func(c *gin.Context) { c.Next(); errs <- c.Errors }
		srv := serveHandlers(t, append(append([]gin.HandlerFunc{watch}, sessions...), tt.do)...)
		resp, body, err := apptest.Fetch(t, srv, "GET", "/")
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		tt.check(t, resp.StatusCode, body, len(resp.Cookies()), <-errs)
	}
	for _, tt := range []row{
		{"untouched", takeOver, 299, "hi", 0, nil, ""},
		{"changed before", func(c *gin.Context) { change(c); takeOver(c) }, 299, "hi", 1, nil, ""},
		{"changed after", func(c *gin.Context) { takeOver(c); change(c) }, 299, "hi", 0, sessionerr.ErrLate, ""},
		{"ended", func(c *gin.Context) { of(c).fails = sessionerr.ErrEnded; takeOver(c) }, 299, "hi", 0, sessionerr.ErrUnknown, ""},
		{"bad value", func(c *gin.Context) { fail(c); takeOver(c) }, 500, page, 0, sessionerr.ErrValue, ""},
		{"bad value after a body", func(c *gin.Context) { c.String(200, "x"); fail(c); takeOver(c) }, 500, page, 0, sessionerr.ErrValue, ""},
	} {
		check(tt, hold(limit, nil))
	}
	check(row{"two sessions", takeOver, 299, "hi", 0, nil, ""}, hold(limit, nil), hold(limit, nil))
	check(row{"the error handler", fail, 299, "hi", 0, sessionerr.ErrValue, ""}, hold(limit, func(c *gin.Context, _ error) {
		if err := http.NewResponseController(c.Writer).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		takeOver(c)
	}))
}

// TestWriter_trailersThatAreNone: trailers that an upstream's header declares
// take no header of ours away.
func TestWriter_trailersThatAreNone(t *testing.T) {
	for _, names := range []string{"Set-Cookie", "vary, cache-control", "Content-Type"} {
		h := play(hold(limit, nil), change, func(c *gin.Context) {
			c.Header("Trailer", names)
			c.Header("Vary", "Cookie")
			c.Header("Cache-Control", "no-store")
			c.Data(http.StatusOK, "application/x-odd", []byte("hello"))
		}).Result().Header
		if len(h["Set-Cookie"]) != 1 || h.Get("Vary") != "Cookie" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/x-odd" {
			t.Errorf("Trailer: %s: got the headers %v, want all that are none", names, h)
		}
	}
}

// TestWriter_Leave_panic: a panic saves nothing, and nothing of the handler's
// response leaves.
func TestWriter_Leave_panic(t *testing.T) {
	tests := []struct {
		name  string
		fn    gin.HandlerFunc
		value any
		want  string // code, body and headers
	}{
		{"at once", nothing, "x", "500  map[X-Outer:[1]]"},
		{"after a change", change, "x", "500  map[X-Outer:[1]]"},
		{"after a bad change", fail, "x", "500  map[X-Outer:[1]]"},
		{"after a body", func(c *gin.Context) { change(c); c.String(200, "half") }, "x", "500  map[X-Outer:[1]]"},
		{"after a status", func(c *gin.Context) { change(c); c.Status(204) }, "x", "500  map[X-Outer:[1]]"},
		{"after headers", func(c *gin.Context) { change(c); c.Writer.WriteHeaderNow() }, "x", "500  map[X-Outer:[1]]"},
		{"abort after a body", func(c *gin.Context) { c.String(200, "half") }, http.ErrAbortHandler, "500  map[X-Outer:[1]]"},
		{"after a save", func(c *gin.Context) { of(c).saved = true }, "x", "500  map[Set-Cookie:[" + line + "] X-Outer:[1]]"},
		{"after a flush", func(c *gin.Context) { c.Writer.WriteString("half"); c.Writer.Flush(); change(c) }, "x", "200 half map[X-Handler:[1] X-Outer:[2]]"},
	}
	for _, tt := range tests {
		outer := func(c *gin.Context) { c.Header("X-Outer", "1"); c.Next() }
		told := func(_ *gin.Context, err error) { t.Errorf("%s: the error handler hears of %v", tt.name, err) }
		w := play(recovery(), outer, hold(limit, told), func(c *gin.Context) {
			c.Header("X-Handler", "1")
			c.Header("X-Outer", "2")
			tt.fn(c)
			panic(tt.value)
		})
		h := w.Result().Header
		h.Del("Content-Type")
		if got := fmt.Sprint(w.Code, " ", w.Body, " ", h); got != tt.want || len(w.errs) != 0 && tt.value == "x" || !w.own {
			t.Errorf("%s: got %s, %v, gin's writer back %v, want %s, no errors, true", tt.name, got, w.errs, w.own, tt.want)
		}
	}
}

// TestWriter_Leave_panicOutside: a recovery outside has the last word if
// nothing was begun, and a connection breaks if there is none.
func TestWriter_Leave_panicOutside(t *testing.T) {
	play(func(c *gin.Context) {
		defer func() { _ = recover(); c.Abort(); _, _ = c.Writer.WriteString("fallback") }()
		c.Next()
	}, hold(limit, nil), func(*gin.Context) { panic("a bug") }).want(t, "recovered", 200, "fallback", 0, nil)
	play(hold(limit, nil), recovery(), func(c *gin.Context) { change(c); panic("x") }).want(t, "recovered inside: it returned", 500, "", 1, nil)
	srv := serveHandlers(t, hold(limit, nil), func(c *gin.Context) { change(c); c.String(200, "half"); panic(http.ErrAbortHandler) })
	if resp, _, err := apptest.Fetch(t, srv, "GET", "/"); resp != nil {
		t.Errorf("got %v and %v, want a broken connection", resp.Status, err)
	}
}

func TestWriter_Leave_goexit(t *testing.T) {
	got := make(chan *seen)
	go func() {
		w := &seen{ResponseRecorder: httptest.NewRecorder()}
		defer func() { got <- w }()
		r := gin.New()
		r.Use(func(c *gin.Context) { own := c.Writer; defer func() { w.own = c.Writer == own }(); c.Next() }, hold(limit, nil))
		r.GET("/", func(c *gin.Context) { change(c); c.String(200, "half"); runtime.Goexit() })
		r.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}()
	w := <-got
	if w.want(t, "goexit", 200, "", 0, nil); !w.own {
		t.Error("gin's writer is not back")
	}
}

// upper writes in capitals.
type upper struct{ gin.ResponseWriter }

func (u *upper) Write(p []byte) (int, error)       { return u.ResponseWriter.Write(bytes.ToUpper(p)) }
func (u *upper) WriteString(s string) (int, error) { return u.Write([]byte(s)) }

func capitals(c *gin.Context) { c.Writer = &upper{c.Writer}; c.Next() }

// TestWriter_Leave_wrapped: a middleware inside may leave its own writer in the
// context, as gzip does. Gin's body of 404 goes through it, but no error page.
func TestWriter_Leave_wrapped(t *testing.T) {
	custom := gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.String(500, "panic") })
	for _, tt := range []row{
		{"/none", nothing, 404, "404 PAGE NOT FOUND", 0, nil, ""},
		{"/", func(c *gin.Context) { change(c); c.String(200, "x") }, 200, "X", 1, nil, ""},
		{"/", func(c *gin.Context) { fail(c); c.String(200, "x") }, 500, page, 0, sessionerr.ErrValue, ""},
		{"/", func(c *gin.Context) { change(c); c.String(200, "x"); panic("x") }, 500, "panic", 0, nil, ""},
	} {
		playAt("GET", tt.name, custom, hold(limit, nil), capitals, tt.do).want(t, tt.name, tt.code, tt.body, tt.cookies, tt.err)
	}
}

// TestWriter_Leave_answeredOutside: a middleware outside that answers if
// nobody has finds a writer that works, also if it is one that was left inside.
func TestWriter_Leave_answeredOutside(t *testing.T) {
	answers := map[string]gin.HandlerFunc{
		"tea": func(c *gin.Context) { c.String(418, "tea") },
		"":    func(c *gin.Context) { c.AbortWithStatus(418) },
	}
	for body, answer := range answers {
		for _, inside := range []gin.HandlerFunc{nothing, capitals} {
			w := play(func(c *gin.Context) { c.Next(); answer(c) }, hold(limit, nil), inside, change)
			if want := fmt.Sprintf("status 418, size %d, written true", len(body)); w.outside != want || !strings.EqualFold(w.Body.String(), body) {
				t.Errorf("got %s and %q, want %s and %q", w.outside, w.Body, want, body)
			}
			w.want(t, "outside", 418, w.Body.String(), 1, nil)
		}
	}
}

// TestWriter_WriteHeader_outside: a writer outside (gzip) takes a status that it
// is told for the handler's.
func TestWriter_WriteHeader_outside(t *testing.T) {
	write := func(c *gin.Context) { c.Writer.WriteString("x") }
	for i, handler := range []gin.HandlerFunc{nothing, write, func(c *gin.Context) { c.Status(204) }} {
		if got, want := play(buffering, hold(limit, nil), handler).Header().Get("X-Told"), []string{"0", "0", "204"}[i]; got != want {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
	}
}

// TestWriter_Enter_begunOutside: what a middleware outside has written shows
// inside, and a cookie is too late.
func TestWriter_Enter_begunOutside(t *testing.T) {
	w := play(func(c *gin.Context) { _, _ = c.Writer.WriteString("outside") }, hold(limit, nil), func(c *gin.Context) {
		if got, want := describe(c.Writer), "status 200, size 7, written true"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		_, _ = c.Writer.WriteString(" inside")
		change(c)
	})
	w.want(t, "begun outside", 200, "outside inside", 0, sessionerr.ErrLate)
}

// TestWriter_twoSessions: a session outside that holds the response back lets go
// of it when the one inside does, and what it holds has not left.
func TestWriter_twoSessions(t *testing.T) {
	both := func(c *gin.Context) { change(c); of(c).outer.changed = true }
	between := func(c *gin.Context) {
		_, _ = c.Writer.WriteString("<html>")
		c.Writer = &struct{ gin.ResponseWriter }{c.Writer}
		c.Next()
	}
	flushed := func(c *gin.Context) { both(c); c.String(202, "a"); c.Writer.Flush(); c.String(202, "b") }
	w := play(hold(limit, nil), hold(limit, nil), flushed)
	if w.want(t, "flush", 202, "ab", 2, nil); !w.Flushed {
		t.Error("flush: not flushed")
	}
	w = play(hold(limit, nil), between, hold(limit, nil), both)
	if w.want(t, "written outside", 200, "<html>", 2, nil); w.Flushed {
		t.Error("written outside: flushed")
	}
	play(hold(limit, nil), between, hold(limit, nil), fail).want(t, "fails inside", 500, "<html>"+page, 0, sessionerr.ErrValue)
}

// TestWriter_limit changes the session after a body: it is kept while the body is
// held back, and late once it has left.
func TestWriter_limit(t *testing.T) {
	late := sessionerr.ErrLate
	for _, tt := range []struct {
		limit, body int // bytes
		err         error
	}{{1000, 999, nil}, {1000, 1000, late}, {1000, 5000, late}, {1 << 20, 900 << 10, nil}, {0, 0, nil}, {0, 1, late}} {
		for _, chunk := range []int{1 << 30, 500} {
			w := play(hold(tt.limit, nil), func(c *gin.Context) {
				for left := tt.body; left > 0; left -= min(left, chunk) {
					if text := strings.Repeat("x", min(left, chunk)); left%1000 < 500 {
						c.Writer.WriteString(text)
					} else {
						c.Writer.Write([]byte(text))
					}
				}
				if got := max(c.Writer.Size(), 0); got != tt.body {
					t.Errorf("%d of %d: got size %d", tt.body, tt.limit, got)
				}
				change(c)
			})
			w.want(t, fmt.Sprint(tt.body, " of ", tt.limit), 200, strings.Repeat("x", tt.body), map[bool]int{true: 1}[tt.err == nil], tt.err)
		}
	}
}
