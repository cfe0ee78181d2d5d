package explorer_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ginsession/ginsession"
)

// errStore is what a faulty store answers. It says nothing about the record.
var errStore = errors.New("explorer: connection reset")

// fault is what a call to the store suffers.
type fault int

const (
	none     fault = iota
	refused        // an error before the call was applied
	lost           // an error after the call was applied
	evicted        // the record is gone before the call is applied
	tooLarge       // [ginsession.ErrTooLarge]
	late           // an error now; the write is applied later if its version still matches
)

func (f fault) String() string {
	return [...]string{"", "error, not applied", "applied, answer lost", "record evicted before", "too large", "error, applied later"}[f]
}

type callKind int

const (
	load callKind = iota
	save
	remove
	turn // no call: a session in a cookie goes on
)

func (k callKind) String() string { return [...]string{"Load", "Save", "Delete", "goes on"}[k] }

// call is one call to the store, parked until the scheduler lets it go on.
type call struct {
	kind   callKind
	id     string
	record ginsession.Record
	keep   time.Duration // until the record expires
}

// store is an in-memory [ginsession.Store] with compare-and-swap, whose calls
// park at the scheduler. A call without a process runs at once: one that
// prepares a start state, or one of the oracle.
//
// It needs no lock: all but one of the goroutines that use it are parked.
type store struct {
	versions uint64
	records  map[string]ginsession.Record
}

// callerKey is where a request's context has its process.
type callerKey struct{}

func (s *store) Load(ctx context.Context, id string) (ginsession.Record, error) {
	return s.call(ctx, call{kind: load, id: id})
}

func (s *store) Save(ctx context.Context, id string, r ginsession.Record) error {
	r.Data = slices.Clone(r.Data)
	_, err := s.call(ctx, call{kind: save, id: id, record: r, keep: time.Until(r.Expires)})
	return err
}

func (s *store) Delete(ctx context.Context, id string) error {
	_, err := s.call(ctx, call{kind: remove, id: id})
	return err
}

func (s *store) call(ctx context.Context, c call) (ginsession.Record, error) {
	p, _ := ctx.Value(callerKey{}).(*process)
	if p == nil {
		return s.apply(c)
	}
	f := p.park(c)
	record, applied, err := s.suffer(c, f)
	p.returned(c, f, applied, err)
	return record, err
}

// suffer applies a call as far as its fault lets it. The write of a late call
// is applied by the scheduler.
func (s *store) suffer(c call, f fault) (record ginsession.Record, applied bool, err error) {
	switch f {
	case refused, late:
		return record, false, errStore
	case tooLarge:
		return record, false, ginsession.ErrTooLarge
	case evicted:
		delete(s.records, c.id)
	}
	record, err = s.apply(c)
	applied = err == nil && c.kind != load
	if f == lost {
		return ginsession.Record{}, applied, errStore
	}
	return record, applied, err
}

func (s *store) apply(c call) (ginsession.Record, error) {
	if c.kind == remove {
		delete(s.records, c.id)
		return ginsession.Record{}, nil
	}
	old, found := s.find(c.id)
	if c.kind == load {
		if !found {
			return ginsession.Record{}, ginsession.ErrNotFound
		}
		old.Data = slices.Clone(old.Data)
		return old, nil
	}
	if err := matches(c.record.Version, old.Version, found); err != nil {
		return ginsession.Record{}, err
	}
	s.versions++
	c.record.Version = s.versions
	s.records[c.id] = c.record
	return ginsession.Record{}, nil
}

// matches is the rule of [ginsession.Store] for the version of a save.
func matches(given, stored any, found bool) error {
	switch {
	case !found && given != nil:
		return ginsession.ErrNotFound
	case found && given != stored:
		return ginsession.ErrConflict
	}
	return nil
}

func (s *store) find(id string) (ginsession.Record, bool) {
	r, ok := s.records[id]
	return r, ok && time.Now().Before(r.Expires)
}

// wouldApply reports whether a write succeeds if it goes on now.
func (s *store) wouldApply(c call) bool {
	if c.kind == remove {
		return true
	}
	old, found := s.find(c.id)
	return matches(c.record.Version, old.Version, found) == nil
}

// faults returns what c can suffer now that makes a difference.
func (s *store) faults(c call) []fault {
	if c.kind == turn {
		return nil
	}
	possible := []fault{refused}
	if _, found := s.find(c.id); found && c.kind != remove {
		possible = append(possible, evicted)
	}
	if c.kind != load && s.wouldApply(c) {
		possible = append(possible, lost, late)
	}
	if c.kind == save {
		possible = append(possible, tooLarge)
	}
	return possible
}

func (s *store) snapshot() map[string]ginsession.Record { return maps.Clone(s.records) }

// restore puts back what snapshot returned. Data is never changed in place.
func (s *store) restore(records map[string]ginsession.Record) {
	clear(s.records)
	maps.Copy(s.records, records)
}
