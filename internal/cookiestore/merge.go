package cookiestore

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/ginsession/ginsession/internal/txn"
)

// memory is what one process remembers of the sessions that it has changed, so
// that parallel requests keep each other's changes: of each session the newest
// version, and the earlier ones that it has taken in. It is bounded in bytes and
// in time, and forgets the oldest first. It never overrules a version that it does
// not know. It is safe for concurrent use; nil remembers nothing.
type memory struct {
	shards []shard // by a session's id
	limit  int     // of a generation, in bytes
}

// version is the newest version of a session, or, once that has ended, its
// tombstone.
type version struct {
	line      string   // its Set-Cookie line, which the browser does not get if the session is empty
	note      string   // its number as [txn.Locator] has it; "" in a tombstone
	taken     []uint64 // the numbers of earlier versions that it has taken in
	successor uint64   // in a tombstone: the id of the session that it was renewed to, or 0
	ended     bool     // it is a tombstone
}

// shard holds two generations of sessions. Once the young one is full, or old
// enough, it becomes the old one, and that is forgotten.
type shard struct {
	mu         sync.Mutex
	young, old map[uint64]*version
	bytes      int       // of the young generation
	since      time.Time // when that began
}

const (
	// generation is how long a session is remembered at least, if there is room.
	// It is twice that at most.
	generation = txn.TombstoneLife

	maxShards     = 64
	minShard      = 256 << 10 // bytes
	entryOverhead = 192       // bytes, with the share of the map and the rounding of allocations
	maxTaken      = 8 << 10   // numbers
	numberSize    = 8         // bytes of an id, or of a version's number
)

// newMemory returns a memory of about so many bytes.
func newMemory(bytes int) *memory {
	if bytes == 0 {
		return nil
	}
	n := 1 // a power of two
	for n < maxShards && 2*n*minShard <= bytes {
		n *= 2
	}
	return &memory{shards: make([]shard, n), limit: bytes / n / 2}
}

// find returns the newest version of a session if that has taken in the version
// with this number, or is that version.
func (m *memory) find(id, number uint64, now time.Time) (newest version, known bool) {
	if m == nil {
		return version{}, false
	}
	s := m.lock(id, now)
	defer s.mu.Unlock()
	v := s.get(id)
	if v == nil || !v.includes(number) {
		return version{}, false
	}
	return *v, true
}

// replace makes next the newest version of a session, or puts a tombstone there.
// Next was derived from the version with the number base. If that is known, but is
// no longer the newest, replace does nothing and returns false. If it is not, it
// comes from another process: then next takes in nothing else, and it is not
// remembered if the session has ended here.
func (m *memory) replace(id, base uint64, next *version, now time.Time) bool {
	if m == nil {
		return true
	}
	s := m.lock(id, now)
	defer s.mu.Unlock()
	before := s.get(id)
	known := before != nil && before.includes(base)
	switch {
	case known && before.number() != base: // or a tombstone, which has none
		return false
	case !known && before != nil && before.ended && !next.ended:
		return true
	case known:
		next.taken = before.taken
	case next.ended && before != nil:
		next.taken = before.taken
		next.take(before.number(), m.limit)
	}
	next.take(base, m.limit)
	s.put(id, next, m.limit, now)
	return true
}

// end puts a tombstone at a session, for the version with this number and all that
// are known, and returns the id of the session that it was renewed to, or 0.
func (m *memory) end(id, number uint64, now time.Time) (successor uint64) {
	if m == nil {
		return 0
	}
	s := m.lock(id, now)
	defer s.mu.Unlock()
	tombstone := version{ended: true}
	if before := s.get(id); before != nil {
		tombstone.taken, tombstone.successor = before.taken, before.successor
		tombstone.take(before.number(), m.limit)
	}
	if !tombstone.includes(number) {
		tombstone.take(number, m.limit)
	}
	s.put(id, &tombstone, m.limit, now)
	return tombstone.successor
}

// lock locks the shard of a session.
func (m *memory) lock(id uint64, now time.Time) *shard {
	s := &m.shards[id&uint64(len(m.shards)-1)]
	s.mu.Lock()
	if age := now.Sub(s.since); age >= generation {
		s.rotate(now)
		if age >= 2*generation {
			s.old = nil
		}
	}
	return s
}

func (s *shard) rotate(now time.Time) {
	s.young, s.old, s.bytes, s.since = map[uint64]*version{}, s.young, 0, now
}

func (s *shard) get(id uint64) *version {
	if v := s.young[id]; v != nil {
		return v
	}
	return s.old[id]
}

// put remembers a version. One that is larger than a generation may be is
// forgotten, with what was known of its session.
func (s *shard) put(id uint64, next *version, limit int, now time.Time) {
	size := next.size()
	v := s.young[id]
	if v != nil {
		s.bytes -= v.size()
	}
	if size > limit || v != nil && s.bytes+size > limit {
		delete(s.young, id)
		v = nil
	}
	if v == nil {
		delete(s.old, id)
	}
	if size > limit {
		return
	}
	if s.bytes+size > limit {
		s.rotate(now)
	}
	if v == nil {
		v = new(version)
		s.young[id] = v
	}
	*v = *next
	s.bytes += size
}

func (v *version) size() int {
	return entryOverhead + len(v.line) + numberSize*cap(v.taken)
}

func (v *version) number() uint64 { return word(v.note) }

func (v *version) includes(number uint64) bool {
	return v.number() == number || slices.Contains(v.taken, number)
}

// take notes an earlier version. Of too many, the first half is forgotten.
func (v *version) take(number uint64, limit int) {
	if number == 0 {
		return
	}
	if n := len(v.taken); n >= maxTaken || numberSize*n > limit/2 {
		v.taken = slices.Clone(v.taken[n/2:])
	}
	v.taken = append(v.taken, number)
}

// word returns the number that a note or an id stands for, and 0 for none.
func word(s string) uint64 {
	if s == "" {
		return 0
	}
	return binary.LittleEndian.Uint64([]byte(s))
}
