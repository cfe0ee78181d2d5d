package ginsession

import (
	"log/slog"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession/internal/seal"
)

// log gathers what the line of a request will say, for [WithLogger]. Its
// methods do nothing where it is nil.
type log struct {
	to       *slog.Logger
	rejected error    // with the check that the cookie failed
	keys     []string // that were changed
	added    int      // flashes
	taken    int
	did      []string // to the whole session
	saved    bool
	bytes    int           // of the Set-Cookie line or the record
	store    time.Duration // that the store took
}

// newLog returns nil where nothing is to be logged.
func (m *manager) newLog() *log {
	if m.logger != nil {
		return &log{to: m.logger}
	}
	if m.unlogged || !gin.IsDebugging() {
		return nil
	}
	return &log{to: slog.Default()}
}

func (l *log) now() (t time.Time) {
	if l != nil {
		t = time.Now()
	}
	return t
}

func (l *log) took(start time.Time) {
	if l != nil {
		l.store += time.Since(start)
	}
}

func (l *log) refuse(err error) {
	if l != nil {
		l.rejected = err
	}
}

// note takes down what is about to be saved, and tells whether there is any. A
// sign of life is not.
func (l *log) note(s *Session) bool {
	if l == nil || !s.renewed && !s.destroyed && !s.did.any() {
		return false
	}
	for _, k := range s.did.keys {
		l.keys = with(l.keys, k.key, true)
	}
	l.did = with(l.did, "destroyed", s.destroyed)
	l.did = with(l.did, "renewed", s.renewed)
	l.did = with(l.did, "cleared", s.did.cleared)
	l.did = with(l.did, "permanent", s.did.permanent != nil)
	l.added += int(s.did.kept)
	l.taken += len(s.did.taken)
	return true
}

// with adds what is missing, if it is so.
func with(list []string, what string, so bool) []string {
	if so && !slices.Contains(list, what) {
		list = append(list, what)
	}
	return list
}

// save takes down that it was saved.
func (l *log) save(s *Session) {
	l.saved = true
	if l.bytes = len(s.setCookie); s.m.store != nil {
		l.bytes = len(s.content.Append(nil)) + seal.Overhead
	}
}

// write writes the line of a request that has changed or refused a session, or
// failed to save it.
func (l *log) write(c *gin.Context, s *Session) {
	if l == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil || !l.saved && l.rejected == nil && s.err == nil {
		return
	}
	level, message := slog.LevelInfo, "session changed"
	attrs := []slog.Attr{slog.String("cookie", s.m.Name), slog.String("request", c.Request.Method+" "+c.FullPath())}
	if l.rejected != nil {
		level, message = slog.LevelWarn, "session refused"
		attrs = append(attrs, slog.String("why", l.rejected.Error()))
	}
	if s.broken != nil {
		level, message = slog.LevelError, "session unavailable"
	} else if s.err != nil {
		level, message = slog.LevelError, "session not saved"
	}
	if s.err != nil {
		attrs = append(attrs, slog.String("error", s.err.Error()))
	}
	l.to.LogAttrs(c.Request.Context(), level, message, append(attrs, l.saves(s)...)...)
}

func (l *log) saves(s *Session) (attrs []slog.Attr) {
	if len(l.did) > 0 {
		attrs = append(attrs, slog.Any("did", l.did))
	}
	if len(l.keys) > 0 {
		attrs = append(attrs, slog.Any("keys", l.keys))
	}
	if l.added > 0 {
		attrs = append(attrs, slog.Int("flashes_added", l.added))
	}
	if l.taken > 0 {
		attrs = append(attrs, slog.Int("flashes_taken", l.taken))
	}
	if l.saved {
		attrs = append(attrs, slog.Int("bytes", l.bytes))
	}
	if s.m.store != nil {
		attrs = append(attrs, slog.Duration("store", l.store))
	}
	return attrs
}
