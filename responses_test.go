package ginsession_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// answers are what handlers do that are to be answered with a session as they
// are without one, byte by byte.
var answers = map[string]func(c *gin.Context, file string){
	"string":            func(c *gin.Context, _ string) { c.String(201, "hello") },
	"large":             func(c *gin.Context, _ string) { c.String(200, strings.Repeat("x", 300<<10)) },
	"html":              func(c *gin.Context, _ string) { _, _ = c.Writer.WriteString("<"); _, _ = c.Writer.WriteString("html>") },
	"file":              func(c *gin.Context, file string) { c.File(file) },
	"redirect":          func(c *gin.Context, _ string) { c.Redirect(303, "/elsewhere") },
	"status alone":      func(c *gin.Context, _ string) { c.Status(418) },
	"aborted":           func(c *gin.Context, _ string) { c.AbortWithStatus(403) },
	"204 with a body":   func(c *gin.Context, _ string) { c.Status(204); _, _ = c.Writer.WriteString("hello") },
	"304 with a body":   func(c *gin.Context, _ string) { c.Status(304); _, _ = c.Writer.WriteString("hello") },
	"304 with a length": func(c *gin.Context, _ string) { c.Header("Content-Length", "1234"); c.AbortWithStatus(304) },
	"204 with nothing":  func(c *gin.Context, _ string) { c.Status(204); c.String(-1, "") },
	"103, then 200":     func(c *gin.Context, _ string) { c.Writer.WriteHeader(103); c.String(200, "hello") },
	"flushed first":     func(c *gin.Context, _ string) { c.Writer.Flush(); c.JSON(500, 1) },
	"closed":            func(c *gin.Context, _ string) { c.Header("Connection", "close"); c.String(200, "x") },
	"no type":           func(c *gin.Context, _ string) { c.Writer.Header()["Content-Type"] = nil; c.String(200, "x") },
	"nothing, then 500": func(c *gin.Context, _ string) { _, _ = c.Writer.Write(nil); c.Status(500) },
	"reader":            func(c *gin.Context, _ string) { c.DataFromReader(200, -1, "text/plain", strings.NewReader("abc"), nil) },
	"reader that fails": func(c *gin.Context, _ string) {
		c.DataFromReader(200, 100, "text/plain", io.MultiReader(strings.NewReader("abc"), brokenReader{}), nil)
	},
	"stream": func(c *gin.Context, _ string) {
		n := 0
		c.Stream(func(w io.Writer) bool { n++; _, _ = fmt.Fprint(w, n); return n < 5 })
	},
	"length too short": func(c *gin.Context, _ string) {
		c.Header("Content-Length", "5")
		_, _ = c.Writer.WriteString("hello")
		_, _ = c.Writer.WriteString("\n")
	},
	"length too long": func(c *gin.Context, _ string) { c.Header("Content-Length", "50"); _, _ = c.Writer.WriteString("hello") },
	"trailer": func(c *gin.Context, _ string) {
		c.Header("Trailer", "X-Sum, X-None")
		c.String(200, "x")
		c.Header("X-Sum", "1")
	},
	"trailer after much": func(c *gin.Context, _ string) {
		c.Header("Trailer", "X-Sum")
		c.String(200, strings.Repeat("x", 5000))
		c.Header("X-Sum", "1")
	},
	"trailer alone": func(c *gin.Context, _ string) { c.Header("Trailer", "X-Sum"); c.Header("X-Sum", "1") },
	"gzip of 204":   func(c *gin.Context, _ string) { zipped(c, func() { c.JSON(204, nil) }) },
	"gzip of 304":   func(c *gin.Context, _ string) { zipped(c, func() { c.AbortWithStatus(304) }) },
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the disk is broken") }

// zipped is the essence of gin-contrib/gzip, inside of the session.
func zipped(c *gin.Context, handle func()) {
	before := c.Writer
	zip := gzip.NewWriter(before)
	c.Header("Content-Encoding", "gzip")
	c.Writer = &gzipWriter{before, zip}
	handle()
	if c.Writer = before; c.Writer.Size() < 0 {
		zip.Reset(io.Discard)
	}
	_ = zip.Close()
	if c.Writer.Size() > -1 {
		c.Header("Content-Length", strconv.Itoa(c.Writer.Size()))
	}
}

type gzipWriter struct {
	gin.ResponseWriter
	zip *gzip.Writer
}

func (w *gzipWriter) Write(p []byte) (int, error)       { return w.zip.Write(p) }
func (w *gzipWriter) WriteString(p string) (int, error) { return w.zip.Write([]byte(p)) }

// TestResponses compares what a real client gets, and what a middleware outside
// sees, with a session that changes, one that is left alone, and none.
func TestResponses(t *testing.T) {
	session := newSessions(t)
	file := writeFile(t, strings.Repeat("0123456789", 10<<10))
	for _, http2 := range []bool{false, true} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for name, answer := range answers {
				if method == http.MethodHead && name == "stream" {
					continue // it ends when the client goes, which has all that it gets
				}
				handle := func(c *gin.Context) { answer(c, file) }
				want := answered(t, http2, method, handle)
				if got := answered(t, http2, method, session, handle); got != want {
					t.Errorf("%s %s, HTTP/2 %v, session left alone:\n got %s\nwant %s", method, name, http2, got, want)
				}
				if got := answered(t, http2, method, session, set, handle); got != want {
					t.Errorf("%s %s, HTTP/2 %v, session changed:\n got %s\nwant %s", method, name, http2, got, want)
				}
			}
		}
	}
}

// answered tells what handlers answer, but for the headers that a session adds.
func answered(t *testing.T, http2 bool, method string, handlers ...gin.HandlerFunc) string {
	t.Helper()
	outside := make(chan string, 1)
	r := gin.New()
	r.Use(func(c *gin.Context) {
		c.Next()
		if http2 && method == http.MethodHead {
			outside <- "anything" // the client goes when it has the headers, and the rest is written to nobody, or not
			return
		}
		outside <- fmt.Sprint(c.Writer.Status(), c.Writer.Size(), c.Writer.Written())
	})
	r.Handle(method, "/", handlers...)
	server := serveHTTP(t, r, http2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	for _, name := range []string{"Date", "Last-Modified", "Vary", "Set-Cookie", "Cache-Control"} {
		resp.Header.Del(name)
	}
	return fmt.Sprintf("%d, %d bytes announced, %v, %.40q… of %d, %v, trailer %v, outside %s",
		resp.StatusCode, resp.ContentLength, resp.Header, body, len(body), err, resp.Trailer, <-outside)
}

// To write nothing is no error where nothing may be written.
func TestResponses_nothingUnder204(t *testing.T) {
	r := newEngine(t)
	r.GET("/", func(c *gin.Context) {
		c.Status(http.StatusNoContent)
		_, err := c.Writer.Write(nil)
		_, other := c.Writer.WriteString("")
		if _, body := c.Writer.WriteString("x"); err != nil || other != nil || !errors.Is(body, http.ErrBodyNotAllowed) {
			t.Errorf("got %v, %v and %v", err, other, body)
		}
	})
	do(t, r, http.MethodGet, "/")
}

// Trailers that an upstream's header declares take no header of ours away.
func TestResponses_trailersThatAreNone(t *testing.T) {
	for _, names := range []string{"Set-Cookie", "vary, cache-control", "Content-Type"} {
		r := newEngine(t)
		r.GET("/", func(c *gin.Context) {
			set(c)
			c.Header("Trailer", names)
			c.Data(http.StatusOK, "application/x-odd", []byte("hello"))
		})
		h := fetch(t, serve(t, r), "/").Header
		if len(h["Set-Cookie"]) != 1 || h.Get("Vary") != "Cookie" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/x-odd" {
			t.Errorf("Trailer: %s: got %d cookies, Vary %q, Cache-Control %q, type %q",
				names, len(h["Set-Cookie"]), h.Get("Vary"), h.Get("Cache-Control"), h.Get("Content-Type"))
		}
	}
}

// A recovery of the app's own outside has the last word where nothing was begun.
func TestResponses_panicBeforeAnything(t *testing.T) {
	r := gin.New()
	r.Use(func(c *gin.Context) {
		defer func() {
			_ = recover()
			c.Abort()
			_, _ = c.Writer.WriteString("fallback")
		}()
		c.Next()
	}, newSessions(t))
	r.GET("/", func(*gin.Context) { panic("a bug") })
	if w := do(t, r, http.MethodGet, "/"); w.Code != http.StatusOK || w.Body.String() != "fallback" {
		t.Errorf("got %d %q, want 200 and the fallback", w.Code, w.Body)
	}
}

// serveHTTP is [serve] for either version, with a client that takes a response
// as it is.
func serveHTTP(t *testing.T, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	var server *httptest.Server
	if http2 {
		server = httptest.NewUnstartedServer(h)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
	} else {
		server = serve(t, h)
	}
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Transport.(*http.Transport).DisableCompression = true
	return server
}

// A response that breaks off is no success, though Recovery says nothing of it.
func TestResponses_brokenOff(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "only this much")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer upstream.Close()
	to, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	r := gin.New()
	r.Use(recovery(), newSessions(t))
	r.GET("/", gin.WrapH(proxy))
	if resp := fetch(t, serve(t, r), "/"); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %s, want 500", resp.Status)
	}
}

// An error page does not wait for a handler that goes on.
func TestResponses_errorPageLeavesAtOnce(t *testing.T) {
	for name, begin := range map[string]func(c *gin.Context){
		"flush": func(c *gin.Context) { _, _ = c.Writer.WriteString("x"); c.Writer.Flush() },
		"much":  func(c *gin.Context) { _, _ = c.Writer.WriteString(strings.Repeat("x", 300<<10)) },
		"hijack": func(c *gin.Context) {
			if _, _, err := c.Writer.Hijack(); err == nil {
				t.Error("the connection was hijacked")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			answered := make(chan struct{})
			r := newEngine(t)
			r.GET("/", func(c *gin.Context) {
				setBad(c)
				begin(c)
				wait(t, "the client", answered)
			})
			resp := fetch(t, serve(t, r), "/")
			if close(answered); resp.StatusCode != http.StatusInternalServerError {
				t.Errorf("got %s, want 500", resp.Status)
			}
		})
	}
}

// buffering is a middleware outside that holds everything back, and takes the
// first status that it hears for the last.
func buffering(c *gin.Context) {
	w := &bufferingWriter{ResponseWriter: c.Writer}
	c.Writer = w
	c.Next()
	c.Writer = w.ResponseWriter
	if w.status != 0 {
		c.Writer.WriteHeader(w.status)
	}
	_, _ = c.Writer.Write(w.body.Bytes())
}

type bufferingWriter struct {
	gin.ResponseWriter
	status  int
	body    bytes.Buffer
	flushes int
}

func (w *bufferingWriter) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
}
func (w *bufferingWriter) Flush()                            { w.flushes++ }
func (w *bufferingWriter) WriteHeaderNow()                   {}
func (w *bufferingWriter) Write(p []byte) (int, error)       { return w.body.Write(p) }
func (w *bufferingWriter) WriteString(p string) (int, error) { return w.body.WriteString(p) }

// Whoever is outside, there is one error page, with the status it was given.
func TestResponses_errorPageIsBuffered(t *testing.T) {
	for _, row := range []struct {
		name   string
		handle func(*gin.Context, error)
		code   int
		body   string
	}{
		{"none", nil, 500, "Internal Server Error\n"},
		{"nothing written", func(*gin.Context, error) {}, 500, "Internal Server Error\n"},
		{"the same status", func(c *gin.Context, _ error) { c.String(500, "sorry") }, 500, "sorry"},
		{"another status", func(c *gin.Context, _ error) { c.String(413, "too large") }, 413, "too large"},
		{"a status alone", func(c *gin.Context, _ error) { c.Status(413) }, 413, ""},
		{"asked", func(c *gin.Context, _ error) {
			if c.Writer.Written() {
				t.Error("the page is written before it is")
			}
			if c.String(500, "sorry"); !c.Writer.Written() {
				t.Error("the page is not written")
			}
		}, 500, "sorry"},
		{"flushed first", func(c *gin.Context, _ error) { c.Status(413); c.Writer.Flush(); c.String(200, "too large") }, 413, "too large"},
		{"flushed", func(c *gin.Context, _ error) { c.String(413, "too "); c.Writer.Flush(); c.String(200, "large") }, 413, "too large"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := gin.New()
			r.Use(buffering, newSessions(t, ginsession.WithErrorHandler(row.handle)))
			r.GET("/", setBad)
			if w := do(t, r, http.MethodGet, "/"); w.Code != row.code || w.Body.String() != row.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, row.code, row.body)
			}
		})
	}
}

// Nobody outside is flushed unasked: gzip would put a trailer behind the page,
// and a buffer might lose the status.
func TestResponses_errorPageIsNotFlushedOutside(t *testing.T) {
	var outside *bufferingWriter
	r := gin.New()
	r.Use(buffering, func(c *gin.Context) { outside = c.Writer.(*bufferingWriter) }, newSessions(t))
	r.GET("/", func(c *gin.Context) { setBad(c); c.String(http.StatusOK, "%s", strings.Repeat("x", 300<<10)) })
	if w := do(t, r, http.MethodGet, "/"); w.Code != http.StatusInternalServerError || outside.flushes != 0 {
		t.Errorf("got %d and %d flushes, want 500 and none", w.Code, outside.flushes)
	}
}

// What is outside of the inner session's page may deny it; and an outer session
// is not late because of it.
func TestResponses_innerFailsOuterGoesOn(t *testing.T) {
	inner := newSessions(t, ginsession.WithName("inner"), ginsession.WithContextKey("inner"))
	bad := func(c *gin.Context) { c.MustGet("inner").(*ginsession.Session).Set("bad", make(chan int)) }
	r := newEngine(t)
	r.GET("/stale", func(c *gin.Context) {
		before := c.Writer
		w := &bufferingWriter{ResponseWriter: before}
		c.Writer = w
		c.Next()
		if c.Writer = before; w.status >= 500 {
			_, _ = c.Writer.WriteString("stale")
		}
	}, inner, bad)
	r.GET("/hijack", func(c *gin.Context) { c.Next(); set(c) }, inner, func(c *gin.Context) {
		bad(c)
		_, _, _ = c.Writer.Hijack()
	})
	if w := do(t, r, http.MethodGet, "/stale"); w.Code != http.StatusOK || w.Body.String() != "stale" {
		t.Errorf("got %d %q, want 200 and what is stale", w.Code, w.Body)
	}
	if w := do(t, r, http.MethodGet, "/hijack"); w.Code != http.StatusInternalServerError || len(cookieLines(w)) != 1 {
		t.Errorf("got %d and %d cookies, want 500 and one", w.Code, len(cookieLines(w)))
	}
}

// A session inside fails while one outside holds what was written before.
func TestResponses_innerFailsAfterOuterWrote(t *testing.T) {
	wrapped := func(c *gin.Context) { // something between the two
		_, _ = c.Writer.WriteString("<html>")
		c.Writer = &struct{ gin.ResponseWriter }{c.Writer}
		c.Next()
	}
	r := newEngine(t)
	r.GET("/", wrapped, newSessions(t, ginsession.WithName("inner"), ginsession.WithContextKey("inner")), func(c *gin.Context) {
		c.MustGet("inner").(*ginsession.Session).Set("bad", make(chan int))
	})
	r.GET("/good", wrapped, newSessions(t, ginsession.WithName("inner"), ginsession.WithContextKey("inner")), func(c *gin.Context) {
		c.MustGet("inner").(*ginsession.Session).Set("good", 1)
	})
	if w := do(t, r, http.MethodGet, "/"); w.Code != http.StatusInternalServerError || w.Body.String() != "<html>Internal Server Error\n" {
		t.Errorf("got %d %q, want 500 and a page", w.Code, w.Body)
	}
	if w := do(t, r, http.MethodGet, "/good"); w.Code != http.StatusOK || len(cookieLines(w)) != 1 {
		t.Errorf("got %d and %d cookies, want 200 and one", w.Code, len(cookieLines(w)))
	}
}

// What somebody outside has written shows inside, and a cookie is too late.
func TestResponses_begunOutside(t *testing.T) {
	r := gin.New()
	r.Use(func(c *gin.Context) { _, _ = c.Writer.WriteString("outside") }, newSessions(t))
	r.GET("/", func(c *gin.Context) {
		if !c.Writer.Written() || c.Writer.Size() != len("outside") {
			t.Errorf("got written %v, size %d", c.Writer.Written(), c.Writer.Size())
		}
		_, _ = c.Writer.WriteString(" inside")
		if set(c); !errors.Is(ginsession.From(c).Err(), ginsession.ErrLate) {
			t.Errorf("got %v, want ErrLate", ginsession.From(c).Err())
		}
	})
	if w := do(t, r, http.MethodGet, "/"); w.Body.String() != "outside inside" || len(cookieLines(w)) != 0 {
		t.Errorf("got %q and %d cookies", w.Body, len(cookieLines(w)))
	}
}

// gin lets any goroutine set keys while handlers run.
func TestMiddleware_keysAreSetMeanwhile(t *testing.T) {
	r := gin.New()
	r.Use(func(c *gin.Context) {
		var wg sync.WaitGroup
		begun := make(chan struct{})
		wg.Go(func() {
			for i := range 2000 {
				if c.Set(strconv.Itoa(i), i); i == 10 {
					close(begun)
				}
			}
		})
		<-begun
		c.Next()
		wg.Wait()
	}, newSessions(t), newSessions(t, ginsession.WithName("other"), ginsession.WithContextKey("other")))
	r.GET("/", set)
	for range 100 {
		do(t, r, http.MethodGet, "/")
	}
}
