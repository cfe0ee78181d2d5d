package response

import (
	"bufio"
	"errors"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/sessionerr"
)

// refuse answers with an error page in place of the handler's response.
func (w *Writer) refuse(err error) {
	w.replace(err)
	w.ResponseWriter.Header().Set("Cache-Control", "no-store")
	_ = w.c.Error(err)
	w.c.Abort()
	status := statusFor(err)
	page := &errorPage{ResponseWriter: w.ResponseWriter, status: status, held: w.holder()}
	defer page.begin() // also if the error handler panics
	w.writeOutside(page, func() {
		if w.config.OnError != nil {
			w.config.OnError(w.c, err)
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

// statusFor is the status of the page that takes the response's place.
func statusFor(err error) int {
	if errors.Is(err, sessionerr.ErrUnavailable) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// errorPage is the writer for a page that takes the place of a response. It
// sends the writer outside one status, with the first that is written, and
// notices by itself whether anything was: a middleware outside may hold the
// page back and deny it, or take the first status that it gets for the last.
type errorPage struct {
	gin.ResponseWriter // the next one outwards

	status int
	begun  bool
	held   *Writer // that of a session outside, if it still holds the response
}

// begin sends the status on. What a session outside holds back may have a body
// already, and would not listen to it any more.
func (p *errorPage) begin() {
	if p.begun {
		return
	}
	p.begun = true
	p.ResponseWriter.WriteHeader(p.status)
	if p.held != nil && p.held.stage == written {
		p.held.status = int32(p.status)
	}
}

// WriteHeader implements [http.ResponseWriter].
func (p *errorPage) WriteHeader(code int) {
	switch {
	case p.begun:
		p.ResponseWriter.WriteHeader(code)
	case code > 0:
		p.status = code
	}
}

// Status implements [gin.ResponseWriter].
func (p *errorPage) Status() int {
	if p.begun {
		return p.ResponseWriter.Status()
	}
	return p.status
}

// Written implements [gin.ResponseWriter].
func (p *errorPage) Written() bool { return p.begun }

// WriteHeaderNow implements [gin.ResponseWriter].
func (p *errorPage) WriteHeaderNow() {
	p.begin()
	p.ResponseWriter.WriteHeaderNow()
}

// Write implements [http.ResponseWriter].
func (p *errorPage) Write(b []byte) (int, error) {
	p.begin()
	return p.ResponseWriter.Write(b)
}

// WriteString implements [gin.ResponseWriter].
func (p *errorPage) WriteString(b string) (int, error) {
	p.begin()
	return p.ResponseWriter.WriteString(b)
}

// Flush implements [http.Flusher].
func (p *errorPage) Flush() {
	p.begin()
	p.ResponseWriter.Flush()
}

// Hijack implements [http.Hijacker].
func (p *errorPage) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	p.begin()
	return p.ResponseWriter.Hijack()
}

// Unwrap lets [http.ResponseController] reach deadlines and full duplex.
func (p *errorPage) Unwrap() http.ResponseWriter { return p.ResponseWriter }
