package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/storetest"
)

// flawVariable names the flaw of the store that [TestFlawed] tests, in a
// process of its own.
const flawVariable = "STORETEST_FLAW"

// TestFlawed fails, unless a check misses the flaw.
func TestFlawed(t *testing.T) {
	flaw := os.Getenv(flawVariable)
	if flaw == "" {
		t.Skip("for the subprocesses of TestRun_flaws")
	}
	store := &flawed{flaw: flaw, records: map[string]ginsession.Record{}, first: map[string]time.Time{}}
	storetest.Run(t, store)
}

// wantFailed runs one check on a store with a flaw.
func wantFailed(t *testing.T, flaw, check string, want bool) {
	t.Helper()
	path := "TestFlawed/" + strings.ReplaceAll(check, " ", "_")
	out, err := apptest.Rerun(t, path, flawVariable+"="+flaw)
	verdict := map[bool]string{true: "--- FAIL: " + path + " ", false: "--- PASS: " + path + " "}[want]
	if (err != nil) != want || !strings.Contains(out, verdict) {
		t.Errorf("got %v, want %q:\n%.2000s", err, verdict, out)
	}
}

var checks = []struct {
	check string
	flaws []string // each of which fails it
}{
	{"load of nothing", []string{"finds what is not there"}},
	{"create and load", []string{"tells no version", "stores nothing"}},
	{"create over something", []string{"creates over something"}},
	{"save over a version", []string{"drops empty records"}},
	{"save over an old one", []string{"ignores versions", "derives versions from the data"}},
	{"save over nothing", []string{"saves over nothing"}},
	{"created anew", []string{"counts versions for each record", "derives versions from the data"}},
	{"delete", []string{"deletes nothing", "wants something to delete"}},
	{"records are apart", []string{"deletes everything"}},
	{"any bytes", []string{"keeps text"}},
	{"large records", []string{"drops large records", "keeps the record before a large one", "cuts large records", "refuses large records and drops the one before", "fails at large records"}},
	{"expiry", []string{"never expires", "expires at once", "keeps the first expiry, when shorter", "keeps the first expiry, when longer"}},
	{"long lifetimes", []string{"takes more than 30 days for a date"}},
	{"one of many saves wins", []string{"ignores versions"}},
	{"one of many makers wins", []string{"creates over something"}},
	{"data are copied", []string{"keeps the caller's bytes", "gives its own bytes"}},
	{"cancelled context", []string{"ignores the context"}},
}

func TestRun_flaws(t *testing.T) {
	for _, row := range checks {
		for _, flaw := range row.flaws {
			t.Run(row.check+"/"+flaw, func(t *testing.T) {
				t.Parallel()
				wantFailed(t, flaw, row.check, true)
			})
		}
	}
}

// TestRun_noFlaws: the store of these tests passes each check without a flaw; and
// so does one that refuses large records and keeps the one before.
func TestRun_noFlaws(t *testing.T) {
	storetest.Run(t, &flawed{records: map[string]ginsession.Record{}})
	wantFailed(t, "refuses large records", "large records", false)
}

// flawed is a store in memory with one flaw, or none.
type flawed struct {
	flaw string

	mu      sync.Mutex
	saves   int
	records map[string]ginsession.Record
	first   map[string]time.Time // expiry of each record when it was created
}

const largeRecord = 100 << 10

var errFull = errors.New("full")

func (s *flawed) Load(ctx context.Context, id string) (ginsession.Record, error) {
	if err := ctx.Err(); err != nil && s.flaw != "ignores the context" {
		return ginsession.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.find(id)
	if !ok && s.flaw != "finds what is not there" {
		return ginsession.Record{}, ginsession.ErrNotFound
	}
	if s.flaw == "tells no version" {
		r.Version = nil
	}
	if s.flaw != "gives its own bytes" {
		r.Data = bytes.Clone(r.Data)
	}
	return r, nil
}

func (s *flawed) find(id string) (ginsession.Record, bool) {
	r, ok := s.records[id]
	return r, ok && (s.flaw == "never expires" || time.Now().Before(r.Expires))
}

func (s *flawed) Save(_ context.Context, id string, r ginsession.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.find(id)
	switch {
	case !ok && r.Version != nil && s.flaw != "saves over nothing":
		return ginsession.ErrNotFound
	case ok && r.Version == nil && s.flaw != "creates over something":
		return ginsession.ErrConflict
	case ok && r.Version != nil && r.Version != old.Version && s.flaw != "ignores versions":
		return ginsession.ErrConflict
	}
	if !ok && s.first != nil {
		s.first[id] = r.Expires
	}
	if len(r.Data) > largeRecord {
		if stored, err := s.saveLarge(id, &r); !stored {
			return err
		}
	}
	r.Version = s.version(&old, &r)
	r.Expires = s.expires(id, r.Expires)
	if s.flaw != "keeps the caller's bytes" {
		r.Data = bytes.Clone(r.Data)
	}
	if s.flaw == "keeps text" {
		r.Data = bytes.TrimRight(r.Data, "\x00")
	}
	if s.flaw == "stores nothing" || s.flaw == "drops empty records" && len(r.Data) == 0 {
		delete(s.records, id)
		return nil
	}
	s.records[id] = r
	return nil
}

// saveLarge reports whether a large record is stored after all.
func (s *flawed) saveLarge(id string, r *ginsession.Record) (stored bool, err error) {
	switch s.flaw {
	case "drops large records":
		delete(s.records, id)
		return false, nil
	case "keeps the record before a large one":
		return false, nil
	case "cuts large records":
		r.Data = r.Data[:largeRecord]
	case "refuses large records":
		return false, ginsession.ErrTooLarge
	case "refuses large records and drops the one before":
		delete(s.records, id)
		return false, ginsession.ErrTooLarge
	case "fails at large records":
		return false, errFull
	}
	return true, nil
}

func (s *flawed) version(old, r *ginsession.Record) any {
	s.saves++
	switch s.flaw {
	case "derives versions from the data":
		return string(r.Data)
	case "counts versions for each record":
		before, _ := old.Version.(int)
		return before + 1
	}
	return s.saves
}

func (s *flawed) expires(id string, t time.Time) time.Time {
	first, soon := s.first[id], time.Now()
	switch {
	case s.flaw == "expires at once",
		s.flaw == "takes more than 30 days for a date" && t.After(soon.Add(30*24*time.Hour)):
		return soon
	case s.flaw == "keeps the first expiry, when shorter" && first.Before(t),
		s.flaw == "keeps the first expiry, when longer" && first.After(t):
		return first
	}
	return t
}

func (s *flawed) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch _, ok := s.find(id); {
	case s.flaw == "deletes nothing":
		return nil
	case s.flaw == "wants something to delete" && !ok:
		return ginsession.ErrNotFound
	case s.flaw == "deletes everything":
		clear(s.records)
	}
	delete(s.records, id)
	return nil
}
