// Package response holds a response back until its session is committed, and
// answers with an error page if that fails.
package response

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

	"github.com/ginsession/ginsession/internal/sessionerr"
)

// Owner is the session that a response belongs to.
type Owner interface {
	// Commit persists the session and adds to h what the browser needs. If h
	// is nil, the headers have left. The error is a reason to replace the
	// response, unless it is [sessionerr.ErrEnded].
	Commit(h http.Header) error

	// Hold persists the session before the connection is taken over. If the
	// headers h were asked for since the last change, it adds to them what the
	// browser needs; otherwise that stays pending.
	Hold(h http.Header) error

	// Pending adds to h what Hold, or a commit of the app's own, has left to say.
	Pending(h http.Header)

	// Settle adds to h what is known when the response is replaced, of the
	// sessions inside this one as well. Nothing changes after that.
	Settle(c *gin.Context, h http.Header)
}

// Config is what all responses of one middleware share.
type Config struct {
	Limit   int                       // bytes of a body that are held back
	OnError func(*gin.Context, error) // the app's error handler, or nil
}

// Writer holds a response back until the session is committed, so that changes
// made after the handler wrote its body are kept, and so that nothing of that
// body follows an error page. To the handler it looks like gin's own writer. As
// that, it belongs to the request's goroutine.
type Writer struct {
	gin.ResponseWriter // the next one outwards

	config *Config
	owner  Owner
	outer  *Writer      // of the session outside this one, or nil
	c      *gin.Context // nil once the request is over
	aside  http.Header  // the headers when the middleware was entered; once replaced, those that the handler still sets

	stage       stage
	bodyRefused bool  // a part of the body, for the status has none
	status      int32 // set by the handler while the response is held, or 0
	body        *bytes.Buffer

	err error // why the response was replaced
}

// stage is how far the response is. It only rises.
type stage int8

const (
	holding  stage = iota // nothing has left, and the handler has written nothing
	written               // nothing has left, but the handler has written
	passing               // what was held has left; all else passes through
	replaced              // by an error page, or abandoned: what comes is thrown away
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Enter begins a response; outer is the writer of the session outside this one,
// or nil. It reports whether the headers have left already.
func (w *Writer) Enter(config *Config, owner Owner, c *gin.Context, outer *Writer) (late bool) {
	w.ResponseWriter = c.Writer
	w.config, w.owner, w.outer, w.c = config, owner, outer, c
	if h := c.Writer.Header(); len(h) > 0 {
		w.aside = h.Clone()
	}
	if w.gone() { // something outside has begun the response
		w.stage = passing
	}
	return w.stage == passing
}

// Finish ends a response whose handler has returned.
func (w *Writer) Finish() {
	switch w.stage {
	case holding, written:
		_ = w.release()
	case passing:
		if err := w.owner.Commit(nil); err != nil {
			w.reportLate(err)
		}
	}
}

// Leave gives gin its writer back, whether the handler returned or panicked. A
// writer that a middleware inside (gzip) has left in the context stays: it has
// announced itself in the headers, and gin's body of 404 has yet to go through
// it. But it must not see what takes the place of a response.
func (w *Writer) Leave() {
	if w.held() { // a panic: nothing is saved, and nothing of the body leaves
		begun := w.stage == written || w.status != 0
		if w.replace(nil); begun {
			w.ResponseWriter.WriteHeader(http.StatusInternalServerError) // Recovery sets none for http.ErrAbortHandler
		}
	}
	if w.stage == replaced || w.c.Writer == w {
		w.c.Writer = w.ResponseWriter
	}
	w.c = nil
}

// held reports whether nothing has left.
func (w *Writer) held() bool { return w.stage <= written }

// release commits the session and lets go of what was held back. The error is
// the reason why the response was replaced.
func (w *Writer) release() error {
	if !w.held() {
		return w.err
	}
	var h http.Header
	if !w.gone() {
		h = w.ResponseWriter.Header()
	}
	err := w.owner.Commit(h)
	if err != nil && h != nil && !errors.Is(err, sessionerr.ErrEnded) {
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
func (w *Writer) releaseEarly() error {
	held := w.held()
	err := w.release()
	if held && err != nil && w.isOutermost() {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // if it can
	}
	return err
}

// isOutermost reports whether nothing but gin's own writer is outside. What else
// there is (gzip, a buffer) may send something of its own when it is flushed.
func (w *Writer) isOutermost() bool {
	outside, ok := w.ResponseWriter.(interface{ Unwrap() http.ResponseWriter })
	if !ok {
		return false
	}
	_, wraps := outside.Unwrap().(gin.ResponseWriter)
	return !wraps
}

// gone reports whether the headers have left without us: somebody outside has
// written before, or a second pass through HandleContext. What another session
// outside holds back has not.
func (w *Writer) gone() bool {
	if held := w.holder(); held != nil {
		return held.gone()
	}
	return w.ResponseWriter.Written()
}

// holder is the writer of the next session outwards that still holds the
// response, whatever other middleware is between, or nil.
func (w *Writer) holder() *Writer {
	for o := w.outer; o != nil; o = o.outer {
		if o.held() {
			return o
		}
	}
	return nil
}

func (w *Writer) open() {
	begun := w.stage == written
	w.stage = passing
	if w.status != 0 {
		w.ResponseWriter.WriteHeader(int(w.status))
	}
	h := w.ResponseWriter.Header()
	if w.bodyRefused {
		delete(h, "Content-Length") // gzip's, of what it could not write
	}
	var trailers http.Header
	if begun && len(h["Trailer"]) > 0 {
		trailers = cutTrailers(h)
	}
	if w.body != nil && w.body.Len() > 0 {
		w.sendBody(h)
	}
	if begun {
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

// sendBody sends as much of the body as was announced; then net/http reports that
// it was too much. All at once, it would send nothing.
func (w *Writer) sendBody(h http.Header) {
	body := w.body.Bytes()
	if length := h["Content-Length"]; len(length) > 0 { // h.Get takes longer than all else here
		if n, err := strconv.Atoi(length[0]); err == nil && 0 < n && n < len(body) {
			_, _ = w.ResponseWriter.Write(body[:n])
			body = body[n:]
		}
	}
	_, _ = w.ResponseWriter.Write(body) // fails if the client has gone
}

// drop returns the buffer. Its content has been copied or is not wanted.
func (w *Writer) drop() {
	if w.body != nil {
		w.body.Reset()
		buffers.Put(w.body)
		w.body = nil
	}
}

// replace throws away all that the handler wrote, headers too.
func (w *Writer) replace(err error) {
	w.stage, w.err = replaced, err
	w.drop()
	h := w.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, w.aside)
	w.aside = http.Header{}
	w.owner.Settle(w.c, h)
}

// reportLate reports what went wrong while the handler's response stands. The
// end of a session is no failure: it is only noted.
func (w *Writer) reportLate(err error) {
	_ = w.c.Error(err)
	if w.config.OnError != nil && !errors.Is(err, sessionerr.ErrEnded) {
		nowhere := &Writer{ResponseWriter: w.ResponseWriter, stage: replaced, aside: http.Header{}}
		w.writeOutside(nowhere, func() { w.config.OnError(w.c, err) })
	}
}

// writeOutside runs fn with another writer in the context. A middleware inside
// (gzip) may have put its own there, which must not see the page.
func (w *Writer) writeOutside(outside gin.ResponseWriter, fn func()) {
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

// hold reports whether n more bytes are held back, or the status lets none be
// written.
func (w *Writer) hold(n int) (held bool, err error) {
	if !w.held() {
		return false, nil
	}
	if n > 0 && !bodyAllowed(w.Status()) {
		w.stage, w.bodyRefused = written, true
		return true, http.ErrBodyNotAllowed
	}
	if w.body == nil {
		w.body = buffers.Get().(*bytes.Buffer)
	}
	if w.body.Len()+n >= w.config.Limit {
		return false, nil
	}
	w.stage = written
	return true, nil
}

// Write implements [http.ResponseWriter].
func (w *Writer) Write(p []byte) (int, error) {
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
func (w *Writer) WriteString(p string) (int, error) {
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
func (w *Writer) Header() http.Header {
	if w.stage == replaced {
		return w.aside
	}
	h := w.ResponseWriter.Header()
	if w.c != nil {
		w.owner.Pending(h)
	}
	return h
}

// WriteHeader notes the status, as gin's writer does.
func (w *Writer) WriteHeader(code int) {
	switch {
	case w.stage == passing:
		w.ResponseWriter.WriteHeader(code)
	case w.stage == holding && code > 0:
		w.status = int32(code)
	}
}

// WriteHeaderNow implements [gin.ResponseWriter].
func (w *Writer) WriteHeaderNow() {
	switch w.stage {
	case holding:
		w.stage = written
	case passing:
		w.ResponseWriter.WriteHeaderNow()
	}
}

// Status implements [gin.ResponseWriter].
func (w *Writer) Status() int {
	if w.held() && w.status != 0 {
		return int(w.status)
	}
	return w.ResponseWriter.Status()
}

// Size implements [gin.ResponseWriter].
func (w *Writer) Size() int {
	switch {
	case !w.held():
		return w.ResponseWriter.Size()
	case w.stage == holding:
		return -1
	case w.body == nil:
		return 0
	}
	return w.body.Len()
}

// Written implements [gin.ResponseWriter].
func (w *Writer) Written() bool {
	return w.stage == written || w.stage != holding && w.ResponseWriter.Written()
}

// Flush implements [http.Flusher].
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController.Flush] calls.
func (w *Writer) FlushError() error {
	if err := w.releaseEarly(); err != nil || w.stage == replaced {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker]. If nothing was written, the headers never
// leave by themselves: the code that takes the connection over sends them, if they were
// asked for. If they were not, a cookie that should have been set is late.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.stage == holding {
		switch err := w.owner.Hold(w.ResponseWriter.Header()); {
		case err == nil:
			w.open()
		case errors.Is(err, sessionerr.ErrEnded):
			w.open()
			w.reportLate(err)
		}
	}
	if err := w.releaseEarly(); err != nil {
		return nil, nil, err
	}
	if w.stage == replaced {
		return nil, nil, http.ErrHijacked
	}
	return w.ResponseWriter.Hijack()
}

// Unwrap lets [http.ResponseController] reach deadlines and full duplex.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
