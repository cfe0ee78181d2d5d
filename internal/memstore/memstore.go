// Package memstore keeps sessions in memory, for tests.
package memstore

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/ginsession/ginsession"
)

// Store is a [ginsession.Store] that ends with the test.
type Store struct {
	mu      sync.Mutex
	saves   uint64
	records map[string]ginsession.Record
}

// New returns an empty store.
func New() *Store { return &Store{records: map[string]ginsession.Record{}} }

// Load returns a copy of the record.
func (s *Store) Load(ctx context.Context, id string) (ginsession.Record, error) {
	if err := ctx.Err(); err != nil {
		return ginsession.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.find(id)
	if !ok {
		return ginsession.Record{}, ginsession.ErrNotFound
	}
	r.Data = bytes.Clone(r.Data)
	return r, nil
}

// Save stores a copy of r as a new version.
func (s *Store) Save(_ context.Context, id string, r ginsession.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.find(id)
	switch {
	case !ok && r.Version != nil:
		return ginsession.ErrNotFound
	case ok && r.Version != old.Version:
		return ginsession.ErrConflict
	}
	s.saves++
	s.records[id] = ginsession.Record{Data: bytes.Clone(r.Data), Expires: r.Expires, Version: s.saves}
	return nil
}

// find returns the record under id, unless it has expired.
func (s *Store) find(id string) (ginsession.Record, bool) {
	r, ok := s.records[id]
	return r, ok && time.Now().Before(r.Expires)
}

// Delete removes the record.
func (s *Store) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, id)
	return nil
}

// Clear removes all records, as a restart of a server does.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.records)
}

// Sizes returns the lengths of the records, in bytes, in any order.
func (s *Store) Sizes() (sizes []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		sizes = append(sizes, len(r.Data))
	}
	return sizes
}
