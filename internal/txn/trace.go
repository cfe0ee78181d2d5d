package txn

import (
	"time"

	"github.com/ginsession/ginsession/internal/journal"
)

// Trace is what happened to a session in a request: data for the log, without
// any value. A nil Trace notes nothing.
type Trace struct {
	Rejected error         // with the check that the cookie failed
	Saved    []Changes     // of each commit that was successful
	Failed   error         // why the last commit was not
	Unsaved  Changes       // what that one tried to save
	Dropped  int           // flash messages for which there was no room
	Size     int           // of the Set-Cookie line or the record, in bytes
	Storage  time.Duration // that the storage took
}

// Changes are what a commit saved, or tried to.
type Changes struct {
	journal.Summary
	Intent Intent
}

func (tr *Trace) now() (t time.Time) {
	if tr != nil {
		t = time.Now()
	}
	return t
}

func (tr *Trace) took(start time.Time) {
	if tr != nil {
		tr.Storage += time.Since(start)
	}
}

func (tr *Trace) try(w *Work) {
	if tr != nil {
		tr.Unsaved, tr.Failed = Changes{w.Journal.Summary(), w.Intent}, nil
		tr.Unsaved.Taken = len(journal.Taken(w.Shown))
	}
}

func (tr *Trace) failed(err error) {
	if tr != nil {
		tr.Failed = err
	}
}

// saved notes a commit; stored is false if there was nothing to store.
func (tr *Trace) saved(r *Result, stored bool) {
	if tr == nil || !stored {
		return
	}
	tr.Saved = append(tr.Saved, tr.Unsaved)
	tr.Unsaved = Changes{}
	tr.Dropped += r.Dropped
	tr.Size = r.Size
}
