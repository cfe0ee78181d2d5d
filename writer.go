package ginsession

import (
	"bufio"
	"bytes"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// maxHeld is how much of a body is held back, in bytes.
const maxHeld = 64 << 10

// writer holds a response back until the session is committed, so that changes
// made after the handler wrote its body are kept, and so that nothing of that
// body follows an error page. To the handler it looks like gin's own writer.
type writer struct {
	gin.ResponseWriter // the next one outwards

	s     *Session
	c     *gin.Context // nil once the request is over
	aside http.Header  // the headers when the middleware was entered; once replaced, those of whoever still sets some

	stage       stage
	statusSet   bool // by the handler
	written     bool // as the handler sees it
	bodyRefused bool // a part of it, for the status has none
	status      int  // while holding
	body        *bytes.Buffer

	err error // why the response was replaced
}

type stage int8

const (
	holding  stage = iota // nothing has left
	passing               // what was held has left; all else passes through
	replaced              // an error page, or nobody's: what comes is thrown away
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (w *writer) enter(s *Session, c *gin.Context) {
	w.ResponseWriter = c.Writer
	w.s, w.c = s, c
	w.status = c.Writer.Status()
	if h := c.Writer.Header(); len(h) > 0 {
		w.aside = h.Clone()
	}
	if w.gone() { // somebody outside has begun the response
		w.stage, s.headersGone = passing, true
	}
}

// finish ends a request whose handler has returned.
func (w *writer) finish() {
	switch w.stage {
	case holding:
		_ = w.release()
	case passing:
		if err := w.s.finalCommit(true); err != nil {
			w.reportLate(err)
		}
	}
}

// leave gives gin its writer back, whether the handler returned or panicked. A
// writer that a middleware inside (gzip) has left in the context stays: it has
// announced itself in the headers, and gin's body of 404 has yet to go through
// it. But it must not see what takes the place of a response.
func (w *writer) leave() {
	if w.stage == holding { // a panic: nothing is saved, and nothing of the body leaves
		if w.replace(nil); w.written || w.statusSet {
			w.ResponseWriter.WriteHeader(http.StatusInternalServerError) // Recovery sets none for http.ErrAbortHandler
		}
	}
	if w.stage == replaced || w.c.Writer == w {
		w.c.Writer = w.ResponseWriter
	}
	w.c = nil
	w.s.over.Store(true)
}

// release commits the session and lets go of what was held back. The error is
// the reason why the response was replaced.
func (w *writer) release() error {
	if w.stage != holding {
		return w.err
	}
	gone := w.gone()
	err := w.s.finalCommit(gone)
	if err != nil && !gone && !errors.Is(err, errEnded) {
		w.refuse(err)
		return err
	}
	w.open()
	if err != nil {
		w.reportLate(err)
	}
	return nil
}

// releaseEarly releases while the handler goes on, for ever perhaps: an error
// page does not wait for that.
func (w *writer) releaseEarly() error {
	held := w.stage == holding
	err := w.release()
	if held && err != nil && w.isOutermost() {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // where it can
	}
	return err
}

// isOutermost tells whether nothing but gin's own writer is outside. What else
// there is (gzip, a buffer) may send something of its own when it is flushed.
func (w *writer) isOutermost() bool {
	outside, ok := w.ResponseWriter.(interface{ Unwrap() http.ResponseWriter })
	if !ok {
		return false
	}
	_, wraps := outside.Unwrap().(gin.ResponseWriter)
	return !wraps
}

// gone tells whether the headers have left without us: somebody outside has
// written before, or a second pass through HandleContext. What another session
// outside holds back has not.
func (w *writer) gone() bool {
	if held := w.holder(); held != nil {
		return held.gone()
	}
	return w.ResponseWriter.Written()
}

// holder is the writer of the next session outwards that still holds the
// response, whatever other middleware is between, or nil.
func (w *writer) holder() *writer {
	for o := w.s.outer; o != nil; o = o.outer {
		if o.writer.stage == holding {
			return &o.writer
		}
	}
	return nil
}

func (w *writer) open() {
	w.stage = passing
	if w.statusSet {
		w.ResponseWriter.WriteHeader(w.status)
	}
	h := w.ResponseWriter.Header()
	if w.bodyRefused {
		delete(h, "Content-Length") // gzip's, of what it could not write
	}
	var trailers http.Header
	if w.written && len(h["Trailer"]) > 0 {
		trailers = cutTrailers(h)
	}
	if w.body != nil && w.body.Len() > 0 {
		w.sendBody(h)
	}
	if w.written {
		w.ResponseWriter.WriteHeaderNow()
	}
	maps.Copy(h, trailers)
	w.drop()
}

// cutTrailers takes the trailers out of h that it declares and has: once set,
// they would be among the headers too. What is never a trailer stays (RFC 9110,
// section 6.5.1).
func cutTrailers(h http.Header) http.Header {
	trailers := http.Header{}
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(textproto.TrimString(name))
			switch lines := h[name]; {
			case lines == nil, name == "Set-Cookie", name == "Cache-Control", name == "Vary", strings.HasPrefix(name, "Content-"):
			default:
				trailers[name] = lines
				delete(h, name)
			}
		}
	}
	return trailers
}

// sendBody sends as much of the body as was announced; then net/http says that
// it was too much. All at once, it would send nothing.
func (w *writer) sendBody(h http.Header) {
	body := w.body.Bytes()
	if n, err := strconv.Atoi(h.Get("Content-Length")); err == nil && 0 < n && n < len(body) {
		_, _ = w.ResponseWriter.Write(body[:n])
		body = body[n:]
	}
	_, _ = w.ResponseWriter.Write(body) // fails where the client has gone
}

// drop returns the buffer. Its content has been copied or is not wanted.
func (w *writer) drop() {
	if w.body != nil {
		w.body.Reset()
		buffers.Put(w.body)
		w.body = nil
	}
}

// replace throws away all that the handler wrote, headers too.
func (w *writer) replace(err error) {
	w.stage, w.err = replaced, err
	w.drop()
	h := w.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, w.aside)
	w.aside = http.Header{}
	w.s.lastHeaders(h) // what an explicit Save has promised the browser
	for inner := around(w.c); inner != nil && inner != w.s; inner = inner.outer {
		inner.lastHeaders(h) // it is saved, whatever becomes of this one
	}
}

// refuse answers with an error page in place of the handler's response.
func (w *writer) refuse(err error) {
	w.replace(err)
	w.ResponseWriter.Header().Set("Cache-Control", "no-store")
	_ = w.c.Error(err)
	w.c.Abort()
	status := statusFor(err)
	page := &errorPage{ResponseWriter: w.ResponseWriter, status: status, held: w.holder()}
	defer page.begin() // also where the error handler panics
	w.writeOutside(page, func() {
		if handle := w.s.m.errorHandler; handle != nil {
			handle(w.c, err)
			if page.begun || page.status != status {
				return
			}
		}
		w.c.Header("Content-Type", "text/plain; charset=utf-8") // c.String keeps one from outside
		w.c.Header("X-Content-Type-Options", "nosniff")
		w.c.String(status, "%s\n", http.StatusText(status))
	})
	page.WriteHeaderNow()
}

// reportLate tells of what went wrong while the handler's response stands. The
// end of a session is nobody's failure: it is only noted.
func (w *writer) reportLate(err error) {
	_ = w.c.Error(err)
	if handle := w.s.m.errorHandler; handle != nil && !errors.Is(err, errEnded) {
		nowhere := &writer{ResponseWriter: w.ResponseWriter, stage: replaced, aside: http.Header{}}
		w.writeOutside(nowhere, func() { handle(w.c, err) })
	}
}

// writeOutside runs fn with another writer in the context. A middleware inside
// (gzip) may have put its own there, which must not see the page.
func (w *writer) writeOutside(outside gin.ResponseWriter, fn func()) {
	inside := w.c.Writer
	w.c.Writer = outside
	defer func() { w.c.Writer = inside }()
	fn()
}

// bodyAllowed is what net/http goes by for final responses (RFC 9110, section
// 6.4.1).
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// hold tells whether n more bytes are held back, or the status lets none be
// written.
func (w *writer) hold(n int) (held bool, err error) {
	if w.stage != holding {
		return false, nil
	}
	if n > 0 && !bodyAllowed(w.status) {
		w.written, w.bodyRefused = true, true
		return true, http.ErrBodyNotAllowed
	}
	if w.body == nil {
		w.body = buffers.Get().(*bytes.Buffer)
	}
	if w.body.Len()+n >= maxHeld {
		return false, nil
	}
	w.written = true
	return true, nil
}

// Write implements [http.ResponseWriter].
func (w *writer) Write(p []byte) (int, error) {
	if held, err := w.hold(len(p)); err != nil {
		return 0, err
	} else if held {
		return w.body.Write(p)
	}
	if err := w.releaseEarly(); err != nil {
		return 0, err
	}
	if w.stage == replaced {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// WriteString implements [gin.ResponseWriter].
func (w *writer) WriteString(p string) (int, error) {
	if held, err := w.hold(len(p)); err != nil {
		return 0, err
	} else if held {
		return w.body.WriteString(p)
	}
	if err := w.releaseEarly(); err != nil {
		return 0, err
	}
	if w.stage == replaced {
		return len(p), nil
	}
	return w.ResponseWriter.WriteString(p)
}

// Header implements [http.ResponseWriter].
func (w *writer) Header() http.Header {
	if w.stage != replaced {
		return w.ResponseWriter.Header()
	}
	return w.aside
}

// WriteHeader notes the status, as gin's writer does.
func (w *writer) WriteHeader(code int) {
	switch {
	case w.stage == passing:
		w.ResponseWriter.WriteHeader(code)
	case w.stage == holding && code > 0 && !w.written:
		w.status, w.statusSet = code, true
	}
}

// WriteHeaderNow implements [gin.ResponseWriter].
func (w *writer) WriteHeaderNow() {
	switch w.stage {
	case holding:
		w.written = true
	case passing:
		w.ResponseWriter.WriteHeaderNow()
	}
}

// Status implements [gin.ResponseWriter].
func (w *writer) Status() int {
	if w.stage == holding {
		return w.status
	}
	return w.ResponseWriter.Status()
}

// Size implements [gin.ResponseWriter].
func (w *writer) Size() int {
	switch {
	case w.stage != holding:
		return w.ResponseWriter.Size()
	case !w.written:
		return -1
	case w.body == nil:
		return 0
	}
	return w.body.Len()
}

// Written implements [gin.ResponseWriter].
func (w *writer) Written() bool {
	if w.stage == holding {
		return w.written
	}
	return w.ResponseWriter.Written()
}

// Flush implements [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController.Flush] calls.
func (w *writer) FlushError() error {
	if err := w.releaseEarly(); err != nil || w.stage == replaced {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker].
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.releaseEarly(); err != nil {
		return nil, nil, err
	}
	if w.stage == replaced {
		return nil, nil, http.ErrHijacked
	}
	return w.ResponseWriter.Hijack()
}

// Unwrap lets [http.ResponseController] reach deadlines and full duplex.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
