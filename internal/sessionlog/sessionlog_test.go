package sessionlog_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/ginsession/ginsession/internal/journal"
	"github.com/ginsession/ginsession/internal/sessionlog"
	"github.com/ginsession/ginsession/internal/txn"
)

// TestWrite_keepsTheTrace has room behind the saved changes, where a goroutine
// that outlives the request appends its own without waiting for the log.
func TestWrite_keepsTheTrace(t *testing.T) {
	saved := make([]txn.Changes, 2)
	trace := &txn.Trace{
		Saved:   saved[:1],
		Failed:  errors.New("not saved"),
		Unsaved: txn.Changes{Summary: journal.Summary{Keys: []string{"a"}}},
	}
	sessionlog.Write(context.Background(), slog.New(slog.DiscardHandler), &sessionlog.Entry{Trace: trace})
	if got := saved[1].Keys; got != nil {
		t.Errorf("got %q behind the saved changes, want nothing", got)
	}
}
