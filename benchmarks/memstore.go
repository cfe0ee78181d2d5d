package main

import (
	"context"
	"sync"

	"github.com/ginsession/ginsession"
)

// mapStore is the smallest store there can be: what is left is the cost of
// ginsession itself. It copies nothing, forgets nothing, and keeps nothing but
// in memory.
type mapStore struct {
	mu      sync.Mutex
	last    uint64
	records map[string]ginsession.Record
}

func newMapStore() *mapStore { return &mapStore{records: map[string]ginsession.Record{}} }

func (m *mapStore) Load(_ context.Context, id string) (ginsession.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[id]
	if !ok {
		return ginsession.Record{}, ginsession.ErrNotFound
	}
	return r, nil
}

func (m *mapStore) Save(_ context.Context, id string, r ginsession.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.records[id]
	switch {
	case !ok && r.Version != nil:
		return ginsession.ErrNotFound
	case ok && old.Version != r.Version:
		return ginsession.ErrConflict
	}
	m.last++
	r.Version = m.last
	m.records[id] = r
	return nil
}

func (m *mapStore) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, id)
	return nil
}
