package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/memstore"
	"github.com/ginsession/ginsession/storetest"
)

func TestStore_contract(t *testing.T) {
	storetest.Run(t, memstore.New())
	storesuite.RunSessions(t, memstore.New(), storesuite.Sizes{Increments: 200, Sets: 100, Flashes: 50, Races: 100})
}

const minLimit = 64 << 10

func record(size int, lasts time.Duration) ginsession.Record {
	return ginsession.Record{Data: make([]byte, size), Expires: time.Now().Add(lasts)}
}

func save(t testing.TB, s *memstore.Store, id string, r ginsession.Record) {
	t.Helper()
	if err := s.Save(context.Background(), id, r); err != nil {
		t.Fatal(err)
	}
}

func has(s *memstore.Store, id string) bool {
	_, err := s.Load(context.Background(), id)
	return err == nil
}

// A full store evicts what was neither loaded nor saved for the longest time,
// and no more than it has to.
func TestStore_evicts(t *testing.T) {
	s := memstore.New(memstore.WithLimit(minLimit))
	const size = 2760 // 19 of these fit
	save(t, s, "1", record(size, time.Hour))
	r, err := s.Load(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 19 {
		if i != 1 {
			save(t, s, fmt.Sprint(i), record(size, time.Hour))
		}
	}
	if got := s.Stats(); got.Records != 19 || got.Evicted != 0 {
		t.Fatalf("got %+v, want 19 records and none evicted", got)
	}
	has(s, "0")
	changed := record(size, time.Hour)
	changed.Version = r.Version
	save(t, s, "1", changed)
	for i := range 17 {
		save(t, s, fmt.Sprint("new", i), record(size, time.Hour))
	}
	for i := range 19 {
		if got, want := has(s, fmt.Sprint(i)), i < 2; got != want {
			t.Errorf("record %d: there: %v, want %v", i, got, want)
		}
	}
	if got := s.Stats(); got.Records != 19 || got.Evicted != 17 || got.Bytes > minLimit {
		t.Errorf("got %+v, want 19 records, 17 evicted, at most %d bytes", got, minLimit)
	}
}

// No record that lives is evicted while there is one that has expired.
func TestStore_evictsExpiredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.WithLimit(1 << 20))
		save(t, s, "first", record(3000, time.Hour))
		for i := range 3000 {
			save(t, s, fmt.Sprint("short", i), record(10, time.Minute+time.Duration(i)))
		}
		time.Sleep(2 * time.Minute)
		for i := range 10 { // each needs more room than it drops in passing
			save(t, s, fmt.Sprint("large", i), record(50000, time.Hour))
		}
		if !has(s, "first") || s.Stats().Evicted != 0 {
			t.Errorf("a record was evicted that had not expired: %+v", s.Stats())
		}
	})
}

// Saves of others, and loads of themselves, drop expired records.
func TestStore_dropsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		for i := range 40 {
			save(t, s, fmt.Sprint(i), record(10, time.Minute))
		}
		time.Sleep(time.Minute)
		if has(s, "39") {
			t.Error("an expired record was loaded")
		}
		for i, want := range []int{39 - 16 + 1, 39 - 32 + 2, 3} {
			save(t, s, fmt.Sprint("live", i), record(10, time.Hour))
			if got := s.Stats().Records; got != want {
				t.Errorf("after save %d: got %d records, want %d", i+1, got, want)
			}
		}
		if got := s.Stats(); got.Evicted != 0 {
			t.Errorf("got %d evicted, want none: they had expired", got.Evicted)
		}
	})
}

// A record whose expiry is moved is dropped at the new one.
func TestStore_expiryMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		for i := range 20 {
			save(t, s, fmt.Sprint(i), record(10, time.Minute))
			r, _ := s.Load(t.Context(), fmt.Sprint(i))
			longer := record(10, time.Hour)
			longer.Version = r.Version
			if i%2 == 0 {
				save(t, s, fmt.Sprint(i), longer)
			}
		}
		time.Sleep(30 * time.Minute)
		save(t, s, "live", record(10, time.Hour))
		if got := s.Stats().Records; got != 11 {
			t.Errorf("got %d records, want 11", got)
		}
	})
}

// What is too large is refused, and neither replaces nor evicts anything.
func TestStore_tooLarge(t *testing.T) {
	s := memstore.New(memstore.WithLimit(minLimit))
	save(t, s, "id", record(10, time.Hour))
	r, _ := s.Load(t.Context(), "id")
	large := record(minLimit/16, time.Hour)
	for _, version := range []any{nil, r.Version} {
		large.Version = version
		if err := s.Save(t.Context(), "id", large); !errors.Is(err, ginsession.ErrTooLarge) || !strings.Contains(err.Error(), "memstore.WithLimit") {
			t.Errorf("got %v, want ErrTooLarge and the way out", err)
		}
	}
	if r, _ := s.Load(t.Context(), "id"); len(r.Data) != 10 || s.Stats().Records != 1 {
		t.Errorf("got %d bytes, want those that were there", len(r.Data))
	}
}

func TestStore_Clear(t *testing.T) {
	s := memstore.New()
	save(t, s, "id", record(10, time.Hour))
	r, _ := s.Load(t.Context(), "id")
	s.Clear()
	if got := s.Stats(); has(s, "id") || got != (memstore.Stats{}) {
		t.Errorf("got %+v, want nothing", got)
	}
	save(t, s, "id", record(10, time.Hour))
	again := record(10, time.Hour)
	again.Version = r.Version
	if err := s.Save(t.Context(), "id", again); !errors.Is(err, ginsession.ErrConflict) {
		t.Errorf("a save over a version of before gave %v, want ErrConflict", err)
	}
	if err := s.Delete(t.Context(), "id"); err != nil || s.Stats().Bytes != 0 {
		t.Errorf("deleting the last record: error %v, left %+v", err, s.Stats())
	}
}

// Random calls leave the books in order.
func TestStore_Stats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.WithLimit(minLimit))
		random := rand.New(rand.NewPCG(1, 2))
		for range 20000 {
			id := fmt.Sprint(random.IntN(200))
			r, err := s.Load(t.Context(), id)
			next := record(random.IntN(2000), time.Duration(random.IntN(1000))*time.Second)
			if err == nil {
				next.Version = r.Version
			}
			if random.IntN(10) == 0 {
				_ = s.Delete(t.Context(), id)
			} else if err := s.Save(t.Context(), id, next); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := s.Stats(); got.Bytes > minLimit {
				t.Fatalf("got %+v, want at most %d bytes", got, minLimit)
			}
		}
		for i := range 200 {
			_ = s.Delete(t.Context(), fmt.Sprint(i))
		}
		if got := s.Stats(); got.Records != 0 || got.Bytes != 0 {
			t.Errorf("with all deleted: got %+v, want none", got)
		}
	})
}

// The bytes that a store counts are those of the heap, or more.
func TestStore_countsAllMemory(t *testing.T) {
	for _, size := range []int{0, 100, 500, 5000} {
		before := heap()
		s := memstore.New(memstore.WithLimit(1 << 30))
		n := 20_000_000 / (size + 400)
		for i := range n {
			save(t, s, fmt.Sprintf("%043d", i), record(size, time.Hour))
		}
		used, counted := heap()-before, s.Stats().Bytes
		if ratio := float64(used) / float64(counted); ratio > 1.05 || ratio < 0.7 {
			t.Errorf("%d records of %d bytes: %d bytes of the heap, counted as %d: %.2f", n, size, used, counted, ratio)
		}
		runtime.KeepAlive(s)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A load allocates its copy of the data, and nothing for the version.
func TestStore_allocations(t *testing.T) {
	s := memstore.New()
	for i := range 300 { // as an interface value, a small number allocates nothing
		save(t, s, fmt.Sprint(i), record(500, time.Hour))
	}
	if got := testing.AllocsPerRun(1000, func() { has(s, "299") }); got != 1 {
		t.Errorf("got %v allocations, want 1", got)
	}
}

func TestNew_mistakes(t *testing.T) {
	rows := []struct {
		opts []memstore.Option
		way  string
	}{
		{[]memstore.Option{memstore.WithLimit(0)}, "64<<20"},
		{[]memstore.Option{memstore.WithLimit(-1)}, "64<<20"},
		{[]memstore.Option{memstore.WithLimit(64<<10 - 1)}, "65536 or more"},
		{[]memstore.Option{memstore.WithLimit(64 << 10), nil}, "option 2 is nil"},
	}
	for _, row := range rows {
		func() {
			defer func() {
				var mistake *ginsession.ConfigError
				if err, _ := recover().(error); !errors.As(err, &mistake) || !strings.Contains(mistake.Reason, row.way) {
					t.Errorf("got panic %v, want a ConfigError that says %q", err, row.way)
				}
			}()
			memstore.New(row.opts...)
		}()
	}
}

func BenchmarkStore(b *testing.B) {
	s := memstore.New()
	const sessions = 1000
	for i := range sessions {
		save(b, s, fmt.Sprint(i), record(500, time.Hour))
	}
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				has(s, "7")
			}
		})
	})
	b.Run("change", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				id := fmt.Sprint(rand.IntN(sessions))
				r, err := s.Load(b.Context(), id)
				if err != nil {
					b.Fatal(err)
				}
				r.Expires = time.Now().Add(time.Hour)
				_ = s.Save(b.Context(), id, r)
			}
		})
	})
}
