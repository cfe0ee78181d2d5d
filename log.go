package ginsession

import (
	"cmp"
	"errors"
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
	rejected error         // with the check that the cookie failed
	done     deeds         // saved
	tried    deeds         // in the last commit
	failed   error         // why that was not saved
	bytes    int           // of the Set-Cookie line or the record
	store    time.Duration // that the store took
}

// deeds are what a request has done to its session.
type deeds struct {
	whole        []string // to the whole session
	keys         []string // that were changed
	added, taken int      // flashes
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

// try takes down what is about to be saved: nothing, if it is but a sign of life.
func (l *log) try(s *Session) {
	if l == nil {
		return
	}
	l.tried = deeds{added: int(s.did.kept), taken: len(s.did.taken)}
	for _, k := range s.did.keys {
		l.tried.keys = append(l.tried.keys, k.key)
	}
	for _, deed := range []struct {
		done bool
		name string
	}{{s.destroyed, "destroyed"}, {s.renewed, "renewed"}, {s.did.cleared, "cleared"}, {s.did.permanent != nil, "permanent"}} {
		if deed.done {
			l.tried.whole = append(l.tried.whole, deed.name)
		}
	}
}

// outcome takes down what became of it. There was nothing to store where a
// session that was never stored is empty.
func (l *log) outcome(s *Session, err error, stored bool) {
	if l == nil {
		return
	}
	if l.failed = err; err != nil || !stored {
		return
	}
	l.done.add(l.tried)
	if l.bytes = len(s.setCookie); s.m.store != nil {
		l.bytes = len(s.content.Append(nil)) + seal.Overhead
	}
}

func (d *deeds) add(more deeds) {
	d.whole, d.keys = union(d.whole, more.whole), union(d.keys, more.keys)
	d.added, d.taken = d.added+more.added, d.taken+more.taken
}

func (d *deeds) any() bool { return len(d.whole)+len(d.keys)+d.added+d.taken > 0 }

func union(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// write writes the line of a request that has changed or refused a session, or
// failed to read or save it. The session is not locked meanwhile: the logger
// may be the app's own.
func (l *log) write(c *gin.Context, s *Session) {
	if l == nil {
		return
	}
	if level, message, attrs := l.line(c, s); message != "" {
		l.to.LogAttrs(c.Request.Context(), level, message, attrs...)
	}
}

// line gives the line, or the message "" for none.
func (l *log) line(c *gin.Context, s *Session) (level slog.Level, message string, attrs []slog.Attr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		return 0, "", nil
	}
	attrs = []slog.Attr{slog.String("cookie", s.m.Name), slog.String("request", c.Request.Method+" "+cmp.Or(c.FullPath(), "(no route)"))}
	if l.done.any() {
		level, message = slog.LevelInfo, "session changed"
	}
	if l.rejected != nil {
		level, message = slog.LevelWarn, "session refused"
		attrs = append(attrs, slog.String("why", l.rejected.Error()))
	}
	failed := l.failed
	switch {
	case s.broken != nil:
		level, message, failed = slog.LevelError, "session unavailable", s.broken
	case errors.Is(failed, errEnded): // nobody's failure
		level, message = slog.LevelInfo, "session over"
	case failed != nil:
		level, message = slog.LevelError, "session not saved"
	}
	if failed != nil {
		l.done.add(l.tried)
		attrs = append(attrs, slog.String("error", failed.Error()))
	}
	return level, message, append(attrs, l.saves(s)...)
}

func (l *log) saves(s *Session) (attrs []slog.Attr) {
	if len(l.done.whole) > 0 {
		attrs = append(attrs, slog.Any("did", l.done.whole))
	}
	if len(l.done.keys) > 0 {
		attrs = append(attrs, slog.Any("keys", l.done.keys))
	}
	if l.done.added > 0 {
		attrs = append(attrs, slog.Int("flashes_added", l.done.added))
	}
	if l.done.taken > 0 {
		attrs = append(attrs, slog.Int("flashes_taken", l.done.taken))
	}
	if l.bytes > 0 {
		attrs = append(attrs, slog.Int("bytes", l.bytes))
	}
	if s.m.store != nil {
		attrs = append(attrs, slog.Duration("store", l.store))
	}
	return attrs
}
