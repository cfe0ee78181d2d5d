// Package sessionlog writes what happened to a session in a request as one line
// of a log. It never sees a value, an id or a secret.
package sessionlog

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

// Entry is what the line is about.
type Entry struct {
	Cookie  string     // name
	Method  string     // of the request
	Route   string     // as it was registered, or "" for none
	Trace   *txn.Trace // what happened
	Broken  error      // the storage's outcome is unknown
	Storage bool       // the time that it took is worth noting: it is on a server
}

// maxKeys bounds how many keys a line names.
const maxKeys = 100

// Write writes the line of a request that has changed a session, was refused
// one, or failed to read or save it. For all others there is none.
func Write(ctx context.Context, to *slog.Logger, e *Entry) {
	if level, message, attrs := e.line(); message != "" {
		to.LogAttrs(ctx, level, message, attrs...)
	}
}

func (e *Entry) line() (level slog.Level, message string, attrs []slog.Attr) {
	t := e.Trace
	done := sum(t.Saved)
	attrs = []slog.Attr{slog.String("cookie", e.Cookie), slog.String("request", e.Method+" "+cmp.Or(e.Route, "(no route)"))}
	if done.any() {
		level, message = slog.LevelInfo, "session changed"
	}
	if t.Dropped > 0 {
		level, message = slog.LevelWarn, "session changed"
	}
	if t.Rejected != nil {
		level, message = slog.LevelWarn, "session refused"
		attrs = append(attrs, slog.String("why", t.Rejected.Error()))
	}
	failed := t.Failed
	switch {
	case e.Broken != nil:
		level, message, failed = slog.LevelError, "session unavailable", e.Broken
	case errors.Is(failed, sessionerr.ErrEnded): // no failure: another request has ended it
		level, message = slog.LevelInfo, "session ended"
	case failed != nil:
		level, message = slog.LevelError, "session not saved"
	}
	if failed != nil {
		done = sum(slices.Concat(t.Saved, []txn.Changes{t.Unsaved})) // not append: a goroutine may do so at once
		attrs = append(attrs, slog.String("error", failed.Error()))
	}
	return level, message, append(attrs, e.details(done)...)
}

func (e *Entry) details(done changes) (attrs []slog.Attr) {
	t := e.Trace
	if len(done.whole) > 0 {
		attrs = append(attrs, slog.Any("did", done.whole))
	}
	if n := len(done.keys); n > maxKeys {
		attrs = append(attrs, slog.Any("keys", done.keys[:maxKeys]), slog.Int("more_keys", n-maxKeys))
	} else if n > 0 {
		attrs = append(attrs, slog.Any("keys", done.keys))
	}
	for _, count := range []struct {
		name string
		n    int
	}{{"flashes_added", done.added}, {"flashes_taken", done.taken}, {"flashes_dropped", t.Dropped}, {"bytes", t.Size}} {
		if count.n > 0 {
			attrs = append(attrs, slog.Int(count.name, count.n))
		}
	}
	if e.Storage {
		attrs = append(attrs, slog.Duration("store", t.Storage))
	}
	return attrs
}

// changes are those of several commits.
type changes struct {
	whole        []string // to the whole session
	keys         []string // that were changed, sorted
	added, taken int      // flashes
}

func (c *changes) any() bool { return len(c.whole)+len(c.keys)+c.added+c.taken > 0 }

func sum(list []txn.Changes) (c changes) {
	for _, l := range list {
		for _, whole := range []struct {
			done bool
			name string
		}{{l.Intent == txn.Destroy, "destroyed"}, {l.Intent == txn.Renew, "renewed"}, {l.Cleared, "cleared"}, {l.Permanent, "permanent"}, {l.Lifetime, "lifetime"}} {
			if whole.done && !slices.Contains(c.whole, whole.name) {
				c.whole = append(c.whole, whole.name)
			}
		}
		c.keys = append(c.keys, l.Keys...)
		c.added, c.taken = c.added+l.Added, c.taken+l.Taken
	}
	slices.Sort(c.keys)
	c.keys = slices.Compact(c.keys)
	return c
}
