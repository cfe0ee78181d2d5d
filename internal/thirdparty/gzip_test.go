package thirdparty_test

import (
	"bufio"
	gz "compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

const page = "Internal Server Error\n"

// reply is a response as a browser sees it.
type reply struct {
	*http.Response
	encoding string
	body     string
}

// open asks for gzip itself, so that net/http does not hide it.
func open(t testing.TB, srv *server, method, path string) *reply {
	t.Helper()
	req, err := http.NewRequestWithContext(timeout(t), method, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &reply{Response: resp, encoding: resp.Header.Get("Content-Encoding")}
}

func fetch(t testing.TB, srv *server, method, path string) *reply {
	t.Helper()
	r := open(t, srv, method, path)
	r.body = r.decode(t)
	return r
}

// decode reads the body to its end, by what the headers say of it.
func (r *reply) decode(t testing.TB) string {
	t.Helper()
	raw := bufio.NewReader(r.Body)
	if _, err := raw.Peek(1); err == io.EOF {
		return ""
	}
	var plain io.Reader = raw
	if r.encoding == "gzip" {
		decoder, err := gz.NewReader(raw)
		if err != nil {
			t.Fatalf("Content-Encoding is gzip, the body is not: %v", err)
		}
		plain = decoder
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// wantVary knows that gzip takes back all of Vary, ours too, once it sees a body
// with a status of 400 or more: outside of the session it comes last.
func wantVary(position string, code int) string {
	switch {
	case code < 400:
		return "Accept-Encoding Cookie"
	case position == inside:
		return "Cookie"
	}
	return ""
}

// vary gives the fields of all Vary lines, sorted.
func (r *reply) vary() string {
	var fields []string
	for _, line := range r.Header["Vary"] {
		for field := range strings.SplitSeq(line, ",") {
			fields = append(fields, strings.TrimSpace(field))
		}
	}
	slices.Sort(fields)
	return strings.Join(fields, " ")
}

const (
	outside = "gzip outside"
	inside  = "gzip inside"
)

// zipped gives an engine with gzip at either side of the session.
func zipped(t testing.TB, position string, opts ...ginsession.Option) (*gin.Engine, *server) {
	t.Helper()
	r := gin.New()
	srv := serve(t, r)
	r.HandleMethodNotAllowed = true
	chain := gin.HandlersChain{gzip.Gzip(gzip.DefaultCompression), newSessions(t, opts...)}
	if position == inside {
		slices.Reverse(chain)
	}
	r.Use(srv.watch)
	r.Use(gin.RecoveryWithWriter(io.Discard))
	r.Use(chain...)
	return r, srv
}

func TestGzip_bodyAndHeaders(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	var noise strings.Builder                          // more than 64 KiB after compression
	for i, x := 0, uint32(1); i < 200<<10; i++ {
		x = x*1664525 + 1013904223
		noise.WriteByte(byte('!' + x>>24%90))
	}
	tests := []struct {
		name, method string
		handler      gin.HandlerFunc
		code         int
		encoding     string
		body         string
	}{
		{"short", "GET", func(c *gin.Context) { c.String(200, "x") }, 200, "gzip", "x"},
		{"long", "GET", func(c *gin.Context) { c.String(200, "%s", long) }, 200, "gzip", long},
		{"noise", "GET", func(c *gin.Context) { c.String(200, "%s", noise.String()) }, 200, "gzip", noise.String()},
		{"in pieces", "GET", func(c *gin.Context) {
			for range 1000 {
				c.String(200, "%s", noise.String()[:100])
			}
		}, 200, "gzip", strings.Repeat(noise.String()[:100], 1000)},
		{"flushed", "GET", func(c *gin.Context) { c.String(200, "a"); c.Writer.Flush(); c.String(200, "b") }, 200, "gzip", "ab"},
		{"created", "GET", func(c *gin.Context) { c.JSON(201, "x") }, 201, "gzip", `"x"`},
		{"reader", "GET", func(c *gin.Context) {
			c.DataFromReader(200, int64(len(long)), "text/plain", strings.NewReader(long), nil)
		}, 200, "gzip", long},
		{"bad request", "GET", func(c *gin.Context) { c.String(400, "no") }, 400, "", "no"},
		{"abort", "GET", func(c *gin.Context) { c.AbortWithStatusJSON(403, "no") }, 403, "", `"no"`},
		{"no content", "GET", func(c *gin.Context) { c.Status(204) }, 204, "gzip", ""},
		{"no content now", "GET", func(c *gin.Context) { c.AbortWithStatus(204) }, 204, "gzip", ""},
		{"not modified", "GET", func(c *gin.Context) { c.Status(304) }, 304, "gzip", ""},
		{"redirect", "POST", func(c *gin.Context) { c.Redirect(303, "/") }, 303, "gzip", ""},
		{"head", "HEAD", func(c *gin.Context) { c.String(200, "x") }, 200, "gzip", ""},
	}
	for _, tt := range tests {
		for _, position := range []string{outside, inside} {
			t.Run(tt.name+"/"+position, func(t *testing.T) {
				r, srv := zipped(t, position)
				r.Handle(tt.method, "/", func(c *gin.Context) { set(c); tt.handler(c) })
				got := fetch(t, srv, tt.method, "/")
				if got.StatusCode != tt.code || got.encoding != tt.encoding || got.body != tt.body {
					t.Errorf("got %d %q %d bytes, want %d %q %d bytes", got.StatusCode, got.encoding, len(got.body), tt.code, tt.encoding, len(tt.body))
				}
				if n := cookiesOf(got.Response); n != 1 {
					t.Errorf("got %d cookies, want 1", n)
				}
				if got, want := got.vary(), wantVary(position, tt.code); got != want {
					t.Errorf("Vary: got %q, want %q", got, want)
				}
			})
		}
	}
}

// With the session outside, a change after gzip has closed its stream is kept.
func TestGzip_lateChange(t *testing.T) {
	r, srv := zipped(t, inside)
	r.Use(func(c *gin.Context) { c.Next(); set(c) })
	r.GET("/", func(c *gin.Context) { c.String(200, "x") })
	got := fetch(t, srv, "GET", "/")
	if got.body != "x" || cookiesOf(got.Response) != 1 {
		t.Errorf("got %q with %d cookies, want %q with 1", got.body, cookiesOf(got.Response), "x")
	}
}

func TestGzip_errorPage(t *testing.T) {
	asJSON := ginsession.WithErrorHandler(func(c *gin.Context, _ error) { c.JSON(503, "sorry") })
	asPage := ginsession.WithErrorHandler(func(c *gin.Context, _ error) { c.String(200, "sorry") })
	byStatus := ginsession.WithErrorHandler(func(c *gin.Context, _ error) { c.AbortWithStatus(503) })
	long := strings.Repeat("secret", 32<<10)
	tests := []struct {
		name    string
		option  ginsession.Option
		handler gin.HandlerFunc
		code    int
		body    string
	}{
		{"default", nil, func(c *gin.Context) { c.String(200, "secret") }, 500, page},
		{"without a body", nil, func(*gin.Context) {}, 500, page},
		{"in place of 403", nil, func(c *gin.Context) { c.String(403, "secret") }, 500, page},
		{"in place of a long body", nil, func(c *gin.Context) { _, _ = c.Writer.WriteString(long) }, 500, page},
		{"while streaming", nil, func(c *gin.Context) { c.Writer.Flush(); _, _ = c.Writer.WriteString("secret") }, 500, page},
		{"json", asJSON, func(c *gin.Context) { c.String(200, "secret") }, 503, `"sorry"`},
		{"with status 200", asPage, func(c *gin.Context) { c.String(200, "secret") }, 200, "sorry"},
		{"status only", byStatus, func(c *gin.Context) { c.String(200, "secret") }, 503, ""},
	}
	for _, tt := range tests {
		for _, position := range []string{outside, inside} {
			t.Run(tt.name+"/"+position, func(t *testing.T) {
				var opts []ginsession.Option
				if tt.option != nil {
					opts = append(opts, tt.option)
				}
				r, srv := zipped(t, position, opts...)
				r.GET("/", func(c *gin.Context) { set(c); setBad(c); c.Header("X-Handler", "1"); tt.handler(c) })
				got := fetch(t, srv, "GET", "/")
				if got.StatusCode != tt.code || got.body != tt.body {
					t.Errorf("got %d %.80q, want %d %q", got.StatusCode, got.body, tt.code, tt.body)
				}
				if cookiesOf(got.Response) != 0 || got.Header.Get("X-Handler") != "" {
					t.Errorf("got %d cookies and headers %v", cookiesOf(got.Response), got.Header)
				}
			})
		}
	}
}

// Gin writes these bodies after the last middleware, through what is then in
// c.Writer; a status of 400 or more makes gzip step back.
func TestGzip_notFoundAndNotAllowed(t *testing.T) {
	for _, position := range []string{outside, inside} {
		for name, fn := range map[string]gin.HandlerFunc{"untouched": func(*gin.Context) {}, "changed": set} {
			t.Run(name+"/"+position, func(t *testing.T) {
				r, srv := zipped(t, position)
				r.Use(fn)
				r.GET("/", func(*gin.Context) {})
				for path, q := range map[string]struct {
					method string
					code   int
					body   string
				}{"/none": {"GET", 404, "404 page not found"}, "/": {"POST", 405, "405 method not allowed"}} {
					got := fetch(t, srv, q.method, path)
					if got.StatusCode != q.code || got.body != q.body || got.encoding != "" {
						t.Errorf("got %d %q %q, want %d %q plain", got.StatusCode, got.encoding, got.body, q.code, q.body)
					}
				}
			})
		}
	}
}

func TestGzip_panic(t *testing.T) {
	for _, position := range []string{outside, inside} {
		t.Run(position, func(t *testing.T) {
			r, srv := zipped(t, position)
			r.GET("/", func(c *gin.Context) { set(c); c.Header("X-Handler", "1"); c.String(200, "half"); panic("x") })
			got := fetch(t, srv, "GET", "/")
			if got.StatusCode != 500 || got.body != "" || cookiesOf(got.Response) != 0 || got.Header.Get("X-Handler") != "" {
				t.Errorf("got %d %q with %d cookies and headers %v", got.StatusCode, got.body, cookiesOf(got.Response), got.Header)
			}
		})
	}
}

func TestGzip_eventsArriveBeforeTheHandlerEnds(t *testing.T) {
	for _, position := range []string{outside, inside} {
		t.Run(position, func(t *testing.T) {
			r, srv := zipped(t, position)
			goOn := make(chan struct{})
			r.GET("/", func(c *gin.Context) {
				set(c)
				c.SSEvent("e", "one")
				c.Writer.Flush()
				<-goOn
				c.SSEvent("e", "two")
			})
			resp := open(t, srv, "GET", "/")
			decoder, err := gz.NewReader(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, len("event:e\ndata:one\n\n"))
			_, err = io.ReadFull(decoder, first)
			close(goOn)
			if err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(decoder)
			if got, want := string(first)+string(rest), "event:e\ndata:one\n\nevent:e\ndata:two\n\n"; got != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
			if cookiesOf(resp.Response) != 1 {
				t.Errorf("got %d cookies, want 1", cookiesOf(resp.Response))
			}
			if errs := srv.ended(t); len(errs) != 0 {
				t.Errorf("got errors %v, want none", errs)
			}
		})
	}
}

// Without a touch of the session, the response is what it is without us.
func TestGzip_untouched(t *testing.T) {
	plain := gin.New()
	srv := serve(t, plain)
	plain.Use(srv.watch, gzip.Gzip(gzip.DefaultCompression))
	plain.GET("/", func(c *gin.Context) { c.String(200, "x") })
	want := fetch(t, srv, "GET", "/")
	for _, position := range []string{outside, inside} {
		r, srv := zipped(t, position)
		r.GET("/", func(c *gin.Context) { c.String(200, "x") })
		got := fetch(t, srv, "GET", "/")
		if got.body != want.body || got.vary() != want.vary() || got.encoding != want.encoding || got.StatusCode != want.StatusCode {
			t.Errorf("%s: got %d %q %v, want %d %q %v", position, got.StatusCode, got.body, got.Header, want.StatusCode, want.body, want.Header)
		}
	}
}
