// Package apptest is what the tests of ginsession share: a store whose calls a
// test can disturb, a browser with a cookie jar, and an app that is driven by
// its query. Nothing but tests imports it.
package apptest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ginsession/ginsession"
)

// Secret is long enough for every kind of session.
const Secret = "a secret of the tests, 32 bytes or more"

// ErrStore is an error that no store of ours returns by itself.
var ErrStore = errors.New("apptest: the store fails")

// Call is one call of a [Store]. Op is "load", "save" or "delete"; Record is
// what a save is to store.
type Call struct {
	Op     string
	ID     string
	Record ginsession.Record
}

// Overwrites reports whether the call saves over an existing record, as a
// change and a tombstone do.
func (c Call) Overwrites() bool { return c.Op == "save" && c.Record.Version != nil }

// Fault is what a [Store] does to a call besides, or in place of, answering it.
// The zero value disturbs nothing. What it names happens in this order.
type Fault struct {
	Wait   <-chan struct{} // the call blocks until this is closed
	Panic  any             // the call panics with this
	Evict  bool            // the record is dropped
	Before error           // the call returns this and is not applied
	Late   error           // the call returns this and is applied by [Store.ApplyLate]
	After  error           // the call is applied and returns this: its answer is lost
}

// Store is a [ginsession.Store] in memory. It never uses a version twice, and
// expires records by [time.Now], so that it works in a bubble of
// testing/synctest. Its methods may be called from several goroutines at once.
type Store struct {
	mu       sync.Mutex
	hook     func(Call) Fault
	limit    int
	versions uint64
	records  map[string]ginsession.Record
	calls    map[string]int
	late     []func()
}

// NewStore returns an empty store that nothing disturbs.
func NewStore() *Store {
	return &Store{records: map[string]ginsession.Record{}, calls: map[string]int{}}
}

// Hook has hook decide about every call from now on; nil disturbs none. It
// runs on the caller's goroutine and may use the store.
func (s *Store) Hook(hook func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// HookOnce disturbs the next call for which match is true, and no other.
func (s *Store) HookOnce(match func(Call) bool, f Fault) {
	var once sync.Once
	s.Hook(func(call Call) (got Fault) {
		if match(call) {
			once.Do(func() { got = f })
		}
		return got
	})
}

// SetLimit refuses records of more than limit bytes with
// [ginsession.ErrTooLarge]; 0 is no limit.
func (s *Store) SetLimit(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
}

// Load returns a copy of the record under id.
func (s *Store) Load(ctx context.Context, id string) (r ginsession.Record, err error) {
	err = s.do(Call{Op: "load", ID: id}, func() error {
		if errors.Is(ctx.Err(), context.Canceled) { // not a deadline: a test may be slow
			return ctx.Err()
		}
		found, ok := s.find(id)
		if !ok {
			return ginsession.ErrNotFound
		}
		r = found
		r.Data = bytes.Clone(r.Data)
		return nil
	})
	if err != nil {
		return ginsession.Record{}, err
	}
	return r, nil
}

// Save stores a copy of r under id, over r.Version only.
func (s *Store) Save(_ context.Context, id string, r ginsession.Record) error {
	r.Data = bytes.Clone(r.Data)
	return s.do(Call{Op: "save", ID: id, Record: r}, func() error {
		old, ok := s.find(id)
		switch {
		case s.limit > 0 && len(r.Data) > s.limit:
			return ginsession.ErrTooLarge
		case !ok && r.Version != nil:
			return ginsession.ErrNotFound
		case ok && r.Version != old.Version:
			return ginsession.ErrConflict
		}
		s.versions++
		s.records[id] = ginsession.Record{Data: r.Data, Expires: r.Expires, Version: s.versions}
		return nil
	})
}

// Delete removes the record under id.
func (s *Store) Delete(_ context.Context, id string) error {
	return s.do(Call{Op: "delete", ID: id}, func() error {
		delete(s.records, id)
		return nil
	})
}

func (s *Store) do(call Call, apply func() error) error {
	s.mu.Lock()
	s.calls[call.Op]++
	hook := s.hook
	s.mu.Unlock()
	var f Fault
	if hook != nil {
		f = hook(call)
	}
	if f.Wait != nil {
		<-f.Wait
	}
	if f.Panic != nil {
		panic(f.Panic)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Evict {
		delete(s.records, call.ID)
	}
	if f.Before != nil {
		return f.Before
	}
	if f.Late != nil {
		s.late = append(s.late, func() { _ = apply() })
		return f.Late
	}
	if err := apply(); err != nil {
		return err
	}
	return f.After
}

// find returns the record under id, unless it has expired.
func (s *Store) find(id string) (ginsession.Record, bool) {
	r, ok := s.records[id]
	return r, ok && time.Now().Before(r.Expires)
}

// ApplyLate applies the calls that a [Fault.Late] has held up.
func (s *Store) ApplyLate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, apply := range s.late {
		apply()
	}
	s.late = nil
}

// Evict drops the records under ids, or all without an id, as a server does
// that needs the memory or starts again.
func (s *Store) Evict(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ids) == 0 {
		clear(s.records)
	}
	for _, id := range ids {
		delete(s.records, id)
	}
}

// Calls returns how often op was called so far.
func (s *Store) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// IDs returns the ids of the records that have not expired, sorted.
func (s *Store) IDs() (ids []string) {
	for id := range s.Sizes() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Sizes returns the length of each record that has not expired, in bytes.
func (s *Store) Sizes() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sizes := map[string]int{}
	for id := range s.records {
		if r, ok := s.find(id); ok {
			sizes[id] = len(r.Data)
		}
	}
	return sizes
}
