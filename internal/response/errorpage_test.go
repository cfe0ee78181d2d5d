package response_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

const page = "Internal Server Error\n"

// outer sets headers, as a gzip outside does.
func outer(c *gin.Context) {
	c.Header("X-Outer", "1")
	c.Header("Content-Encoding", "identity")
	c.Header("Content-Type", "application/json")
	c.Next()
}

func TestErrorPage_inPlaceOfTheResponse(t *testing.T) {
	handlers := map[string]gin.HandlerFunc{
		"nothing":                        nothing,
		"body":                           func(c *gin.Context) { c.String(201, "secret") },
		"status":                         func(c *gin.Context) { c.Status(204) },
		"abort":                          func(c *gin.Context) { c.AbortWithStatusJSON(403, "secret") },
		"redirect":                       func(c *gin.Context) { c.Redirect(302, "/") },
		"flush":                          func(c *gin.Context) { c.String(200, "secret"); c.Writer.Flush(); c.Writer.WriteString("secret") },
		"long body":                      func(c *gin.Context) { c.Writer.WriteString(strings.Repeat("secret", limit)) },
		"new outer headers":              func(c *gin.Context) { c.Header("X-Outer", "2"); c.Header("Content-Encoding", "br") },
		"outer headers changed in place": func(c *gin.Context) { c.Writer.Header()["X-Outer"][0] = "2" },
		"outer headers deleted":          func(c *gin.Context) { c.Header("X-Outer", ""); c.Header("Content-Encoding", "") },
		"caching":                        func(c *gin.Context) { c.Header("Cache-Control", "public"); c.String(200, "secret") },
	}
	want := fmt.Sprint(http.Header{"X-Outer": {"1"}, "Content-Encoding": {"identity"}, "Cache-Control": {"no-store"},
		"X-Content-Type-Options": {"nosniff"}, "Content-Type": {"text/plain; charset=utf-8"}})
	for name, handler := range handlers {
		w := play(outer, hold(limit, nil), func(c *gin.Context) {
			fail(c)
			c.Header("X-Handler", "1")
			c.Header("Content-Type", "image/png")
			c.SetCookie("other", "1", 0, "/", "", true, true)
			handler(c)
		})
		w.want(t, name, 500, page, 0, sessionerr.ErrValue)
		if got := fmt.Sprint(w.Result().Header); got != want || !w.aborted || !strings.HasPrefix(w.outside, "status 500, size 22") {
			t.Errorf("%s: got %s, aborted %v and %s, want %s, true and 500", name, got, w.aborted, w.outside, want)
		}
	}
}

func TestErrorPage_status(t *testing.T) {
	for err, want := range map[error]int{sessionerr.ErrValue: 500, sessionerr.ErrTooLarge: 500, sessionerr.ErrUnavailable: 503, sessionerr.ErrPanic: 503} {
		play(hold(limit, nil), func(c *gin.Context) { of(c).fails = err }).want(t, err.Error(), want, http.StatusText(want)+"\n", 0, err)
	}
}

// TestErrorPage_errorHandler: whatever middleware is outside, there is one page,
// with the status it was given, and nothing is flushed unasked: gzip would put a
// trailer behind the page, and a buffer might lose the status.
func TestErrorPage_errorHandler(t *testing.T) {
	const flushed = "X-Flushes: 1"
	tests := []struct {
		name         string
		handle       gin.HandlerFunc
		code         int
		body, header string // of the page
	}{
		{"json", func(c *gin.Context) { c.JSON(418, "tea") }, 418, `"tea"`, "Content-Type: application/json"},
		{"nothing", nothing, 500, page, "X-Content-Type-Options: nosniff"},
		{"headers only", func(c *gin.Context) { c.Header("Retry-After", "9") }, 500, page, "Retry-After: 9"},
		{"redirect", func(c *gin.Context) { c.Redirect(303, "/oops") }, 303, "", "Location: /oops"},
		{"abort", func(c *gin.Context) { c.AbortWithStatus(403) }, 403, "", "X-Outer: 1"},
		{"abort with 200", func(c *gin.Context) { c.AbortWithStatus(200) }, 200, "", "X-Outer: 1"},
		{"status", func(c *gin.Context) { c.Status(403) }, 403, "", "X-Outer: 1"},
		{"body without a status", func(c *gin.Context) { c.Writer.Write([]byte("x")) }, 500, "x", "X-Outer: 1"},
		{"the page's own status", func(c *gin.Context) { c.Status(500) }, 500, page, "X-Outer: 1"},
		{"status -1", func(c *gin.Context) { c.Status(-1) }, 500, page, "X-Outer: 1"},
		{"its own status", func(c *gin.Context) { c.String(c.Writer.Status(), "x") }, 500, "x", "X-Outer: 1"},
		{"own caching", func(c *gin.Context) { c.Header("Cache-Control", "private"); c.Status(403) }, 403, "", "Cache-Control: private"},
		{"a change", func(c *gin.Context) { change(c); c.String(400, "x") }, 400, "x", "X-Outer: 1"},
		{"status 404", func(c *gin.Context) { c.Status(404) }, 404, "", "X-Outer: 1"},
		{"asked", func(c *gin.Context) {
			c.String(500, "%v ", c.Writer.Written())
			c.String(500, "%v", c.Writer.Written())
		}, 500, "false true", ""},
		{"flushed first", func(c *gin.Context) { c.Status(413); c.Writer.Flush(); c.String(200, "large") }, 413, "large", flushed},
		{"flushed", func(c *gin.Context) { c.String(413, "too "); c.Writer.Flush(); c.String(200, "large") }, 413, "too large", flushed},
	}
	for _, tt := range tests {
		for _, how := range []string{"held", "flushed", "buffered outside", "buffered outside, and long"} {
			calls := 0
			handlers := []gin.HandlerFunc{outer, hold(limit, func(c *gin.Context, err error) {
				if calls++; c.Errors.Last().Err != err {
					t.Errorf("%s: the error is not in c.Errors yet", tt.name)
				}
				c.Header("Content-Type", "")
				tt.handle(c)
			}), func(c *gin.Context) {
				change(c)
				fail(c)
				switch c.String(200, "secret"); how {
				case "flushed":
					c.Writer.Flush()
					c.Writer.WriteString("secret")
					c.Header("X-Handler", "1")
				case "buffered outside, and long":
					c.Writer.WriteString(strings.Repeat("x", limit))
				}
			}}
			buffers := strings.HasPrefix(how, "buffered")
			if buffers {
				handlers = slices.Insert(handlers, 0, buffering)
			}
			w := playAt("POST", "/", handlers...)
			name := tt.name + ", " + how
			w.want(t, name, tt.code, tt.body, 0, sessionerr.ErrValue)
			key, value, _ := strings.Cut(tt.header, ": ")
			if tt.header != flushed && !strings.HasPrefix(w.Result().Header.Get(key), value) || buffers && (w.Header().Get("X-Flushes") == "1") != (tt.header == flushed) {
				t.Errorf("%s: got the headers %v, want %s, and no flush unasked", name, w.Header(), tt.header)
			}
			if calls != 1 || w.Header().Get("X-Handler") != "" {
				t.Errorf("%s: got %d calls and the headers %v, want 1 and none of the handler's", name, calls, w.Header())
			}
		}
	}
}

// TestErrorPage_errorHandler_noRoute: the status that gin has noted before is no
// reason to write the page as well.
func TestErrorPage_errorHandler_noRoute(t *testing.T) {
	page404 := func(c *gin.Context, _ error) { c.Status(404) }
	playAt("GET", "/none", hold(limit, page404), fail, nothing).want(t, "no route", 404, "", 0, sessionerr.ErrValue)
}

// TestErrorPage_errorHandler_panics: a recovery inside has nobody to tell, as the
// response is ours.
func TestErrorPage_errorHandler_panics(t *testing.T) {
	bad := func(*gin.Context, error) { panic("x") }
	tea := gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.String(http.StatusTeapot, "secret"); c.Writer.WriteHeaderNow() })
	for name, handlers := range map[string][]gin.HandlerFunc{
		"recovery outside": {recovery(), hold(limit, bad), func(c *gin.Context) { fail(c); c.String(200, "secret") }},
		"recovery inside":  {hold(limit, bad), tea, func(c *gin.Context) { fail(c); c.String(200, "secret"); c.Writer.Flush() }},
	} {
		if w := play(handlers...); w.Code != 500 || w.Body.Len() != 0 {
			t.Errorf("%s: got %d %q, want 500 and no body", name, w.Code, w.Body)
		}
	}
}

// TestErrorPage_handlerGoesOn: whatever the handler writes after its flush has
// failed is refused.
func TestErrorPage_handlerGoesOn(t *testing.T) {
	next := false
	w := play(hold(limit, nil), func(c *gin.Context) {
		before := c.Writer
		c.String(200, "half")
		fail(c)
		c.Writer.Flush()
		c.Header("X-After", "1")
		c.Status(201)
		c.Writer.WriteHeaderNow()
		for i, write := range []func() (int, error){
			func() (int, error) { return c.Writer.WriteString("more") },
			func() (int, error) { return c.Writer.Write([]byte("more")) },
			func() (int, error) { return c.Writer.WriteString(strings.Repeat("x", limit)) },
			func() (int, error) { return 0, http.NewResponseController(c.Writer).Flush() },
			func() (int, error) { _, _, err := c.Writer.Hijack(); return 0, err },
		} {
			if n, err := write(); n != 0 || !errors.Is(err, sessionerr.ErrValue) {
				t.Errorf("%d: got %d, %v, want 0, %v", i, n, err, sessionerr.ErrValue)
			}
		}
		if got, want := describe(c.Writer), "status 500, size 22, written true"; got != want || !c.IsAborted() || c.Writer != before {
			t.Errorf("got %s, aborted %v, its own writer %v, want %s, true, true", got, c.IsAborted(), c.Writer == before, want)
		}
		change(c)
	}, func(*gin.Context) { next = true })
	if w.want(t, "flushed", 500, page, 0, sessionerr.ErrValue); w.Header().Get("X-After") != "" || next {
		t.Errorf("got %v, next handler %v, want nothing of the handler's, false", w.Header(), next)
	}
}

// TestErrorPage_leavesAtOnce: a page does not wait for a handler that goes on.
func TestErrorPage_leavesAtOnce(t *testing.T) {
	for name, begin := range map[string]gin.HandlerFunc{
		"flush":  func(c *gin.Context) { _, _ = c.Writer.WriteString("x"); c.Writer.Flush() },
		"much":   func(c *gin.Context) { _, _ = c.Writer.WriteString(strings.Repeat("x", 300<<10)) },
		"hijack": func(c *gin.Context) { _, _, _ = c.Writer.Hijack() },
		"no body": func(c *gin.Context) {
			c.Writer.Flush()
			if got, want := describe(c.Writer), "status 403, size 0, written true"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		},
	} {
		answered := make(chan struct{})
		onError := func(c *gin.Context, _ error) {
			if c.Status(403); name != "no body" {
				c.String(403, "no")
			}
		}
		srv := serveHandlers(t, hold(limit, onError), fail, func(c *gin.Context) { begin(c); apptest.Wait(t, "the client", answered) })
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if close(answered); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %s, want 403", name, resp.Status)
		}
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
	c.Header("X-Flushes", fmt.Sprint(w.flushes))
	c.Header("X-Told", fmt.Sprint(w.status))
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

// TestErrorPage_denied: what is outside of the inner session's page may deny it,
// and the outer session is not late because of it.
func TestErrorPage_denied(t *testing.T) {
	stale := func(c *gin.Context) {
		before := c.Writer
		w := &bufferingWriter{ResponseWriter: before}
		c.Writer = w
		c.Next()
		if c.Writer = before; w.status >= 500 {
			_, _ = c.Writer.WriteString("stale")
		}
	}
	play(hold(limit, nil), stale, hold(limit, nil), fail).want(t, "stale", 200, "stale", 0, sessionerr.ErrValue)
	after := func(c *gin.Context) { c.Next(); change(c) }
	play(hold(limit, nil), after, hold(limit, nil), fail, func(c *gin.Context) { _, _, _ = c.Writer.Hijack() }).want(t, "hijacked", 500, page, 1, sessionerr.ErrValue)
}
