package ginsession

import (
	"bufio"
	"bytes"
	"errors"
	"maps"
	"net"
	"net/http"
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
	entry http.Header  // the headers as they were when the middleware was entered

	stage     stage
	statusSet bool // by the handler
	written   bool // as the handler sees it
	status    int  // while holding
	body      *bytes.Buffer

	err      error       // why the response was replaced
	detached http.Header // for whoever still sets headers then
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
		w.entry = h.Clone()
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
		w.replace(nil)
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

// gone tells whether the headers have left without us, by a second pass through
// HandleContext. What another session outside holds back has not.
func (w *writer) gone() bool {
	if outer, ok := w.ResponseWriter.(*writer); ok && outer.stage == holding {
		return outer.gone()
	}
	return w.ResponseWriter.Written()
}

func (w *writer) open() {
	w.stage = passing
	if w.statusSet {
		w.ResponseWriter.WriteHeader(w.status)
	}
	if w.body != nil && w.body.Len() > 0 {
		_, _ = w.ResponseWriter.Write(w.body.Bytes()) // fails where the client has gone
	} else if w.written {
		w.ResponseWriter.WriteHeaderNow()
	}
	w.drop()
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
	maps.Copy(h, w.entry)
	w.s.lastHeaders(h) // what an explicit Save has promised the browser
}

// refuse answers with an error page in place of the handler's response.
func (w *writer) refuse(err error) {
	w.replace(err)
	w.ResponseWriter.Header().Set("Cache-Control", "no-store")
	_ = w.c.Error(err)
	w.c.Abort()
	status := statusFor(err)
	w.ResponseWriter.WriteHeader(status) // also where the error handler panics
	w.writeOutside(w.ResponseWriter, func() {
		if handle := w.s.m.errorHandler; handle != nil {
			handle(w.c, err)
			if w.ResponseWriter.Written() || w.ResponseWriter.Status() != status {
				return
			}
		}
		w.c.Header("Content-Type", "text/plain; charset=utf-8") // c.String keeps one from outside
		w.c.Header("X-Content-Type-Options", "nosniff")
		w.c.String(status, "%s\n", http.StatusText(status))
	})
	w.ResponseWriter.WriteHeaderNow()
}

// reportLate tells of what went wrong while the handler's response stands. The
// end of a session is nobody's failure: it is only noted.
func (w *writer) reportLate(err error) {
	_ = w.c.Error(err)
	if handle := w.s.m.errorHandler; handle != nil && !errors.Is(err, errEnded) {
		nowhere := &writer{ResponseWriter: w.ResponseWriter, stage: replaced}
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

// holds tells whether n more bytes are held back.
func (w *writer) holds(n int) bool {
	if w.stage != holding {
		return false
	}
	if w.body == nil {
		w.body = buffers.Get().(*bytes.Buffer)
	}
	if w.body.Len()+n >= maxHeld {
		return false
	}
	w.written = true
	return true
}

// Write implements [http.ResponseWriter].
func (w *writer) Write(p []byte) (int, error) {
	if w.holds(len(p)) {
		return w.body.Write(p)
	}
	if err := w.release(); err != nil {
		return 0, err
	}
	if w.stage == replaced {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// WriteString implements [gin.ResponseWriter].
func (w *writer) WriteString(p string) (int, error) {
	if w.holds(len(p)) {
		return w.body.WriteString(p)
	}
	if err := w.release(); err != nil {
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
	if w.detached == nil {
		w.detached = http.Header{}
	}
	return w.detached
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
	if err := w.release(); err != nil || w.stage == replaced {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker].
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.release(); err != nil {
		return nil, nil, err
	}
	if w.stage == replaced {
		return nil, nil, http.ErrHijacked
	}
	return w.ResponseWriter.Hijack()
}

// Unwrap lets [http.ResponseController] reach deadlines and full duplex.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
