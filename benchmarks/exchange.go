package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
	"github.com/valyala/fasthttp"
)

// app is an application whose routes do what the shapes need.
type app interface {
	// prepare makes a request that can be sent again and again.
	prepare(path, cookie string) exchange
}

// exchange is a prepared request and its last response. Sending it again
// costs next to nothing beside what the app does.
type exchange interface {
	send() (status int)
	setCookie() string // "name=value", or ""
	body() string
}

// httpApp is an application of net/http.
type httpApp struct{ http.Handler }

func (a httpApp) prepare(path, cookie string) exchange {
	r, err := http.NewRequest(http.MethodGet, "http://localhost"+path, http.NoBody) //nolint:noctx // never sent
	if err != nil {
		panic(err) // a path of ours
	}
	r.RequestURI, r.RemoteAddr = path, "127.0.0.1:40000"
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return &httpExchange{handler: a.Handler, template: r, w: &recorder{header: http.Header{}}}
}

type httpExchange struct {
	handler  http.Handler
	template *http.Request
	request  http.Request
	w        *recorder
}

// send takes a new copy of the request each time: gorilla/sessions keeps the
// session that it has read in it.
func (e *httpExchange) send() int {
	e.request = *e.template
	e.w.reset()
	e.handler.ServeHTTP(e.w, &e.request)
	return e.w.status
}

func (e *httpExchange) setCookie() string {
	lines := e.w.header["Set-Cookie"]
	if len(lines) == 0 {
		return ""
	}
	pair, _, _ := strings.Cut(lines[len(lines)-1], ";") // the last is the one that a browser keeps
	return pair
}

func (e *httpExchange) body() string { return string(e.w.text) }

// recorder is a [http.ResponseWriter] that is used again and allocates nothing.
type recorder struct {
	header http.Header
	status int
	text   []byte // the first 4 KiB
	size   int
}

const maxRecorded = 4 << 10

func (w *recorder) reset() {
	clear(w.header)
	w.status, w.text, w.size = http.StatusOK, w.text[:0], 0
}

func (w *recorder) Header() http.Header { return w.header }
func (w *recorder) WriteHeader(s int)   { w.status = s }
func (w *recorder) Flush()              {}

func (w *recorder) Write(p []byte) (int, error) {
	w.text = append(w.text, p[:min(len(p), maxRecorded-len(w.text))]...)
	w.size += len(p)
	return len(p), nil
}

// WriteString spares net/http's io.WriteString a copy.
func (w *recorder) WriteString(p string) (int, error) { //nolint:unparam // it is [io.StringWriter]
	w.text = append(w.text, p[:min(len(p), maxRecorded-len(w.text))]...)
	w.size += len(p)
	return len(p), nil
}

// fiberApp is an application of Fiber, which does not speak net/http.
type fiberApp struct {
	*fiber.App
	sessions *session.Store
}

// forget drops all sessions. They would go after half an hour.
func (a fiberApp) forget() { _ = a.sessions.Reset(context.Background()) }

func (a fiberApp) prepare(path, cookie string) exchange {
	e := &fiberExchange{handler: a.Handler()}
	e.ctx.Request.Header.SetMethod(fiber.MethodGet)
	e.ctx.Request.SetRequestURI("http://localhost" + path)
	if cookie != "" {
		e.ctx.Request.Header.Set("Cookie", cookie)
	}
	return e
}

type fiberExchange struct {
	handler fasthttp.RequestHandler
	ctx     fasthttp.RequestCtx
}

// send does what fasthttp's server does between two requests, but for parsing
// them, as Fiber's own benchmarks do.
func (e *fiberExchange) send() int {
	e.ctx.ResetUserValues()
	e.ctx.Response.Reset()
	e.handler(&e.ctx)
	return e.ctx.Response.StatusCode()
}

func (e *fiberExchange) setCookie() (pair string) {
	for key, line := range e.ctx.Response.Header.Cookies() {
		var c fasthttp.Cookie
		if c.ParseBytes(line) == nil {
			pair = string(key) + "=" + string(c.Value())
		}
	}
	return pair
}

func (e *fiberExchange) body() string { return string(e.ctx.Response.Body()) }
