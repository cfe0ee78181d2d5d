// Package memstore keeps the sessions of [github.com/ginsession/ginsession] in
// the memory of the process.
//
//	r.Use(ginsession.Must(ginsession.New(secret, ginsession.WithStore(memstore.New()))))
//
// It is for an app of one process that wants a log-out which ends copies of the
// cookie too, parallel requests without lost updates, or sessions of more than
// 4096 bytes, and for tests. A restart of the process ends all sessions, and
// another process knows none of them.
//
// # When it is full
//
// A store holds up to 64 MiB, or [WithLimit]: about 90,000 sessions of 400 bytes.
// Expired sessions are dropped as others are saved. If a session does not fit
// even so, those that were neither loaded nor saved for the longest time are
// evicted, as Memcached does: their users are logged out ([ginsession.ErrUnknown]),
// and no other visitor is refused. An app whose anonymous pages write to their
// sessions lets robots fill the store; [Stats] counts the sessions that were
// evicted.
package memstore

import (
	"bytes"
	"container/heap"
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ginsession/ginsession"
)

const (
	defaultLimit = 64 << 20
	minLimit     = 64 << 10

	// overhead is what a record costs beside its id and its data, in bytes: its
	// entry, and its places in the map, the list and the heap.
	overhead = 256

	// maxShare is the part of the limit that one record may have.
	maxShare = 16

	// dropAtOnce bounds how many expired records one save drops in passing.
	dropAtOnce = 16
)

// Store is a [ginsession.Store] in memory. It may be used from many goroutines
// at once, and by several middlewares. It has no goroutine of its own.
type Store struct {
	limit int
	now   func() time.Time

	mu      sync.Mutex
	saves   uint64
	bytes   int
	evicted uint64
	records map[string]*entry
	recent  list.List // of *entry, the most recently used first
	expiry  expiries
}

// entry is a record. Its data is never changed, only replaced.
type entry struct {
	id      string
	data    []byte
	expires time.Time
	version any           // a uint64
	place   *list.Element // in Store.recent
	index   int           // in Store.expiry
}

func (e *entry) size() int { return cost(e.id, e.data) }

// cost includes an eighth more than the data, which the allocator may round up.
func cost(id string, data []byte) int { return overhead + len(id) + len(data) + len(data)/8 }

// Option changes one default of [New].
type Option func(*Store)

// WithLimit sets how many bytes of memory the records may have, what is needed
// to manage them included. The default is 64 MiB, the minimum 64 KiB. The
// garbage collector may let the process have about twice as much. One record has
// at most a sixteenth of the limit; a larger one gives [ginsession.ErrTooLarge].
func WithLimit(bytes int) Option { return func(s *Store) { s.limit = bytes } }

// New returns an empty store. It panics if an option is nil or the limit too
// low, with a [*ginsession.ConfigError] that says so.
func New(opts ...Option) *Store {
	s := &Store{limit: defaultLimit, now: time.Now, records: map[string]*entry{}}
	for i, opt := range opts {
		if opt == nil {
			panic(wrong("options", fmt.Sprintf("option %d is nil; leave it out", i+1)))
		}
		opt(s)
	}
	if s.limit < minLimit {
		panic(wrong("WithLimit", fmt.Sprintf("%d bytes are too few; give 65536 or more, such as 64<<20, or leave the option out for 64 MiB", s.limit)))
	}
	return s
}

func wrong(option, reason string) error {
	return &ginsession.ConfigError{Option: "memstore." + option, Reason: reason}
}

// Load implements [ginsession.Store].
func (s *Store) Load(ctx context.Context, id string) (ginsession.Record, error) {
	if err := ctx.Err(); err != nil {
		return ginsession.Record{}, err
	}
	s.mu.Lock()
	e := s.find(id)
	if e == nil {
		s.mu.Unlock()
		return ginsession.Record{}, ginsession.ErrNotFound
	}
	s.recent.MoveToFront(e.place)
	data, version := e.data, e.version
	s.mu.Unlock()
	return ginsession.Record{Data: bytes.Clone(data), Version: version}, nil
}

// Save implements [ginsession.Store]. It returns [ginsession.ErrTooLarge] if the
// record has more than a sixteenth of the limit.
func (s *Store) Save(ctx context.Context, id string, r ginsession.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if most := (s.limit/maxShare - cost(id, nil)) / 9 * 8; len(r.Data) > most {
		return fmt.Errorf("%w: its record has %d bytes, and memstore takes no more than %d; keep less in it, or raise memstore.WithLimit",
			ginsession.ErrTooLarge, len(r.Data), most)
	}
	data := append(make([]byte, 0, len(r.Data)), r.Data...)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.find(id)
	switch {
	case old == nil && r.Version != nil:
		return ginsession.ErrNotFound
	case old != nil && r.Version != old.version:
		return ginsession.ErrConflict
	}
	if old == nil {
		old = s.add(id)
	}
	s.saves++
	s.bytes += cost(id, data) - old.size()
	old.data, old.expires, old.version = data, r.Expires, s.saves
	heap.Fix(&s.expiry, old.index)
	s.recent.MoveToFront(old.place)
	s.makeRoom()
	return nil
}

// Delete implements [ginsession.Store].
func (s *Store) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.records[id]; e != nil {
		s.drop(e)
	}
	return nil
}

// Clear drops all records, as a restart does: all users are logged out.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.records)
	s.recent.Init()
	s.expiry, s.bytes = nil, 0
}

// Stats is what a [Store] holds.
type Stats struct {
	Records int    // sessions, and those that have ended in the last minute
	Bytes   int    // of memory, see [WithLimit]
	Evicted uint64 // records dropped since New, before they expired, to make room
}

// Stats returns the store's statistics.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Records: len(s.records), Bytes: s.bytes, Evicted: s.evicted}
}

// find returns the record under id, nil if there is none or it has expired.
func (s *Store) find(id string) *entry {
	e := s.records[id]
	if e == nil {
		return nil
	}
	if !s.now().Before(e.expires) {
		s.drop(e)
		return nil
	}
	return e
}

// add makes an empty record.
func (s *Store) add(id string) *entry {
	e := &entry{id: id}
	s.records[id] = e
	e.place = s.recent.PushFront(e)
	heap.Push(&s.expiry, e)
	s.bytes += e.size()
	return e
}

func (s *Store) drop(e *entry) {
	delete(s.records, e.id)
	s.recent.Remove(e.place)
	heap.Remove(&s.expiry, e.index)
	s.bytes -= e.size()
}

// makeRoom drops expired records, a few of them or as many as the limit needs,
// and then the least recently used.
func (s *Store) makeRoom() {
	now := s.now()
	for n := 0; len(s.expiry) > 0 && !now.Before(s.expiry[0].expires) && (n < dropAtOnce || s.bytes > s.limit); n++ {
		s.drop(s.expiry[0])
	}
	for s.bytes > s.limit {
		s.drop(s.recent.Back().Value.(*entry))
		s.evicted++
	}
}

// expiries is a heap, the record that expires first in front.
type expiries []*entry

func (h expiries) Len() int           { return len(h) }
func (h expiries) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }

func (h expiries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *expiries) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop implements [heap.Interface].
func (h *expiries) Pop() any {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last], *h = nil, old[:last]
	return e
}
