package cookiestore

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

const session = 7 // an id

func named(number uint64) string { return string(binary.LittleEndian.AppendUint64(nil, number)) }

func live(number uint64) *version {
	return &version{line: "line", note: named(number)}
}

// TestMemory_replace commits versions one after the other and then looks for one
// of them.
func TestMemory_replace(t *testing.T) {
	type commit struct {
		base uint64
		next *version
		want bool
	}
	tombstone := func() *version { return &version{successor: 9, ended: true} }
	for _, row := range []struct {
		name    string
		commits []commit
		find    uint64
		want    string // the note of the newest version, "" for a tombstone, "unknown"
	}{
		{"nothing", nil, 1, "unknown"},
		{"the newest", []commit{{1, live(2), true}}, 2, named(2)},
		{"the one before", []commit{{1, live(2), true}}, 1, named(2)},
		{"one long before", []commit{{1, live(2), true}, {2, live(3), true}, {3, live(4), true}}, 1, named(4)},
		{"never seen", []commit{{1, live(2), true}}, 5, "unknown"},
		{"a sister is slower", []commit{{1, live(2), true}, {1, live(3), false}}, 1, named(2)},
		{"a sister replays", []commit{{1, live(2), true}, {1, live(3), false}, {2, live(4), true}}, 1, named(4)},
		{"another process wins", []commit{{1, live(2), true}, {5, live(6), true}}, 5, named(6)},
		{"another process has taken in nothing", []commit{{1, live(2), true}, {5, live(6), true}}, 1, "unknown"},
		{"a renewal", []commit{{1, live(2), true}, {2, tombstone(), true}}, 1, ""},
		{"a renewal of an older version", []commit{{1, live(2), true}, {1, tombstone(), false}}, 1, named(2)},
		{"a renewal of what came", []commit{{1, tombstone(), true}}, 1, ""},
		{"a change after it", []commit{{1, tombstone(), true}, {1, live(2), false}}, 1, ""},
		{"a change after it by another process", []commit{{1, tombstone(), true}, {5, live(6), true}}, 5, "unknown"},
		{"a renewal by another process ends all", []commit{{1, live(2), true}, {5, tombstone(), true}}, 2, ""},
	} {
		m, now := newMemory(1<<20), time.Now()
		for i, c := range row.commits {
			if got := m.replace(session, c.base, c.next, now); got != c.want {
				t.Errorf("%s: commit %d: got %v, want %v", row.name, i, got, c.want)
			}
		}
		newest, known := m.find(session, row.find, now)
		if got := newest.note; known && got != row.want || known == (row.want == "unknown") || known && newest.ended != (row.want == "") {
			t.Errorf("%s: got %q, known %v, ended %v, want %q", row.name, got, known, newest.ended, row.want)
		}
	}
}

func TestMemory_end(t *testing.T) {
	m, now := newMemory(1<<20), time.Now()
	m.replace(session, 1, live(2), now)
	for _, row := range []struct {
		number, successor uint64
	}{{5, 0}, {2, 0}} {
		if got := m.end(session, row.number, now); got != row.successor {
			t.Errorf("end of %d: got the successor %d, want %d", row.number, got, row.successor)
		}
	}
	for number, want := range map[uint64]bool{1: true, 2: true, 5: true, 6: false} {
		if got, known := m.find(session, number, now); known != want || known && !got.ended {
			t.Errorf("version %d: got known %v, ended %v, want known and ended %v", number, known, got.ended, want)
		}
	}
	m.replace(8, 1, &version{successor: session, ended: true}, now)
	if got := m.end(8, 1, now); got != session {
		t.Errorf("end of a renewed session: got the successor %d, want %d", got, session)
	}
}

// TestMemory_find looks for a session that was changed a while ago.
func TestMemory_find(t *testing.T) {
	for _, row := range []struct {
		age  time.Duration
		want bool
	}{{0, true}, {generation - 1, true}, {2*generation - 1, true}, {2 * generation, false}, {time.Hour, false}} {
		m, now := newMemory(1<<20), time.Now()
		m.replace(session, 1, live(2), now)
		if _, known := m.find(session, 1, now.Add(row.age)); known != row.want {
			t.Errorf("after %v: got known %v, want %v", row.age, known, row.want)
		}
	}
}

// TestMemory_off has no memory: everything is the newest.
func TestMemory_off(t *testing.T) {
	m, now := newMemory(0), time.Now()
	replaced := m.replace(session, 1, live(2), now) && m.replace(session, 1, live(3), now)
	if _, known := m.find(session, 1, now); !replaced || known || m.end(session, 1, now) != 0 {
		t.Error("got a memory, want none")
	}
}

func TestMemory_bound(t *testing.T) { fillMemory(t, 4<<20, 100_000) }

// fillMemory remembers many more sessions than there is room for, and one with
// more versions.
func fillMemory(t *testing.T, limit int, n uint64) {
	const size = 500
	for _, row := range []struct {
		name string
		id   func(i uint64) uint64
	}{
		{"sessions", func(uint64) uint64 { return rand.Uint64() }},
		{"versions", func(uint64) uint64 { return session }},
	} {
		before := heap()
		m, now := newMemory(limit), time.Now()
		for i := range n {
			text := strings.Repeat("x", size) + fmt.Sprint(i)
			m.replace(row.id(i), i+1, &version{line: text, note: named(i + 2)}, now)
			now = now.Add(time.Microsecond)
		}
		got := heap() - before
		t.Logf("%d %s: %d bytes on the heap", n, row.name, got)
		if got > limit*5/4 {
			t.Errorf("%s: got %d bytes, want about %d", row.name, got, limit)
		}
		if _, known := m.find(row.id(0), n+1, now); known != (row.name == "versions") {
			t.Errorf("%s: got known %v", row.name, known)
		}
		runtime.KeepAlive(m)
	}
}

func heap() int {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc)
}
