// Package storetest is a test suite for any [ginsession.Store].
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, newStore(t))
//	}
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
)

// Run checks each rule of the contract of [ginsession.Store] in a subtest. It
// takes up to 10 seconds, for records that expire. It stores records of up to
// 4 MiB under new random ids, and leaves some behind, which expire within an
// hour or, a few of them, within a year.
func Run(t *testing.T, store ginsession.Store) {
	for name, check := range map[string]func(*testing.T, ginsession.Store){
		"load of nothing":         loadNothing,
		"create and load":         createAndLoad,
		"create over something":   createOverSomething,
		"save over a version":     saveOverVersion,
		"save over an old one":    saveOverOldVersion,
		"save over nothing":       saveOverNothing,
		"created anew":            createdAnew,
		"delete":                  deleteTwice,
		"records are apart":       recordsApart,
		"any bytes":               anyBytes,
		"large records":           largeRecords,
		"expiry":                  expiry,
		"long lifetimes":          longLifetimes,
		"one of many saves wins":  oneSaveWins,
		"one of many makers wins": oneCreateWins,
		"data are copied":         dataCopied,
		"cancelled context":       cancelled,
	} {
		t.Run(name, func(t *testing.T) { check(t, store) })
	}
}

var ctx = context.Background()

// newID returns an id of the form that ginsession uses: 43 characters of
// base64url.
func newID() string { return (rand.Text() + rand.Text())[:43] }

func record(data string, version any) ginsession.Record {
	return ginsession.Record{Data: []byte(data), Expires: time.Now().Add(time.Hour), Version: version}
}

func create(t *testing.T, store ginsession.Store, data string) (id string) {
	t.Helper()
	id = newID()
	if err := store.Save(ctx, id, record(data, nil)); err != nil {
		t.Fatalf("creating a record: %v", err)
	}
	return id
}

func load(t *testing.T, store ginsession.Store, id string) ginsession.Record {
	t.Helper()
	r, err := store.Load(ctx, id)
	if err != nil {
		t.Fatalf("loading a record: %v", err)
	}
	return r
}

func wantData(t *testing.T, store ginsession.Store, id, want string) {
	t.Helper()
	if got := string(load(t, store, id).Data); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

func loadNothing(t *testing.T, store ginsession.Store) {
	_, err := store.Load(ctx, newID())
	wantErr(t, err, ginsession.ErrNotFound)
}

func createAndLoad(t *testing.T, store ginsession.Store) {
	id := create(t, store, "one")
	wantData(t, store, id, "one")
	if load(t, store, id).Version == nil {
		t.Error("a loaded record has no version")
	}
}

func createOverSomething(t *testing.T, store ginsession.Store) {
	id := create(t, store, "one")
	wantErr(t, store.Save(ctx, id, record("two", nil)), ginsession.ErrConflict)
	wantData(t, store, id, "one")
}

func saveOverVersion(t *testing.T, store ginsession.Store) {
	id := create(t, store, "one")
	for _, data := range []string{"two", "", "three"} {
		if err := store.Save(ctx, id, record(data, load(t, store, id).Version)); err != nil {
			t.Fatal(err)
		}
		wantData(t, store, id, data)
	}
}

func saveOverOldVersion(t *testing.T, store ginsession.Store) {
	id := create(t, store, "one")
	old := load(t, store, id).Version
	if err := store.Save(ctx, id, record("two", old)); err != nil {
		t.Fatal(err)
	}
	wantErr(t, store.Save(ctx, id, record("three", old)), ginsession.ErrConflict)
	wantData(t, store, id, "two")

	// The same data again is a new version all the same.
	if err := store.Save(ctx, id, record("one", load(t, store, id).Version)); err != nil {
		t.Fatal(err)
	}
	wantErr(t, store.Save(ctx, id, record("three", old)), ginsession.ErrConflict)
}

func saveOverNothing(t *testing.T, store ginsession.Store) {
	id := create(t, store, "one")
	version := load(t, store, id).Version
	if err := store.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	wantErr(t, store.Save(ctx, id, record("two", version)), ginsession.ErrNotFound)
	_, err := store.Load(ctx, id)
	wantErr(t, err, ginsession.ErrNotFound)
}

// createdAnew deletes a record and creates it again, with the same data and as
// many saves as before: a version of the first record must not match the second.
func createdAnew(t *testing.T, store ginsession.Store) {
	for saves := range 3 {
		id := newID()
		build := func() (version any) {
			t.Helper()
			for range saves + 1 {
				if err := store.Save(ctx, id, record("one", version)); err != nil {
					t.Fatal(err)
				}
				version = load(t, store, id).Version
			}
			return version
		}
		old := build()
		if err := store.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
		build()
		if err := store.Save(ctx, id, record("two", old)); !errors.Is(err, ginsession.ErrConflict) {
			t.Errorf("a save over a version of the record that was deleted, after %d saves: got error %v, want %v",
				saves+1, err, ginsession.ErrConflict)
		}
		wantData(t, store, id, "one")
	}
}

func deleteTwice(t *testing.T, store ginsession.Store) {
	id := create(t, store, "one")
	for range 2 {
		if err := store.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
		_, err := store.Load(ctx, id)
		wantErr(t, err, ginsession.ErrNotFound)
	}
}

func recordsApart(t *testing.T, store ginsession.Store) {
	one, two := create(t, store, "one"), create(t, store, "two")
	if err := store.Delete(ctx, one); err != nil {
		t.Fatal(err)
	}
	wantData(t, store, two, "two")
}

func anyBytes(t *testing.T, store ginsession.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	large := bytes.Repeat(every, 256)
	for _, data := range []string{"", "\r\n", "\x00", "END\r\n", string(every), string(large)} {
		wantData(t, store, create(t, store, data), data)
	}
}

// largeRecords stores ever larger records. Each is stored whole, or refused
// with ErrTooLarge, and then the one before is intact.
func largeRecords(t *testing.T, store ginsession.Store) {
	random := mathrand.NewChaCha8([32]byte{}) // compression gains nothing
	for power := 13; power <= 22; power++ {
		for _, size := range []int{1<<power - 1, 1 << power} {
			data := make([]byte, size)
			_, _ = random.Read(data)
			wantStoredOrRefused(t, store, newID(), nil, data)
			id := create(t, store, "one")
			wantStoredOrRefused(t, store, id, load(t, store, id).Version, data)
		}
	}
}

// wantStoredOrRefused saves data over a version, which is of the data "one"
// unless it is nil.
func wantStoredOrRefused(t *testing.T, store ginsession.Store, id string, version any, data []byte) {
	t.Helper()
	r := ginsession.Record{Data: data, Expires: time.Now().Add(time.Hour), Version: version}
	err := store.Save(ctx, id, r)
	if err != nil && !errors.Is(err, ginsession.ErrTooLarge) {
		t.Fatalf("saving %d bytes: got error %v, want none or %v", len(data), err, ginsession.ErrTooLarge)
	}
	there, loadErr := store.Load(ctx, id)
	switch {
	case err == nil && (loadErr != nil || !bytes.Equal(there.Data, data)):
		t.Fatalf("%d bytes were saved without an error, and loaded as %d bytes with error %v", len(data), len(there.Data), loadErr)
	case err != nil && version == nil && !errors.Is(loadErr, ginsession.ErrNotFound):
		t.Fatalf("%d bytes were refused, and loaded as %d bytes with error %v, want %v", len(data), len(there.Data), loadErr, ginsession.ErrNotFound)
	case err != nil && version != nil && (loadErr != nil || string(there.Data) != "one"):
		t.Fatalf("%d bytes were refused, and the record before is %d bytes with error %v, want it intact", len(data), len(there.Data), loadErr)
	case err != nil && version != nil:
		if err := store.Save(ctx, id, record("two", version)); err != nil {
			t.Fatalf("%d bytes were refused, and saving over the record before gave %v", len(data), err)
		}
	}
	if err := store.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
}

// expiry waits for three records that expire at once: one that was saved once,
// and two that were saved over others with another expiry. No clock of a server
// can be injected.
func expiry(t *testing.T, store ginsession.Store) {
	t.Parallel()
	end, later := time.Now().Add(1500*time.Millisecond), time.Now().Add(time.Hour)
	save := func(id string, version any, expires time.Time) {
		t.Helper()
		if err := store.Save(ctx, id, ginsession.Record{Data: []byte("one"), Expires: expires, Version: version}); err != nil {
			t.Fatal(err)
		}
	}
	prolonged, shortened, once := newID(), newID(), newID()
	save(prolonged, nil, end) // first: its first expiry has passed when that of the last has
	save(prolonged, load(t, store, prolonged).Version, later)
	save(shortened, nil, later)
	save(shortened, load(t, store, shortened).Version, end)
	save(once, nil, end)
	time.Sleep(time.Until(end) - 50*time.Millisecond)
	if _, err := store.Load(ctx, once); err != nil && time.Now().Before(end) {
		t.Errorf("loading a record before it expires: %v", err)
	}
	wantGone(t, store, once, end)
	if _, err := store.Load(ctx, prolonged); err != nil {
		t.Errorf("loading a record that was saved again with a later expiry: %v", err)
	}
	wantGone(t, store, shortened, end)
}

// wantGone waits until the record has expired, for 6 seconds more at most: a
// server may count whole seconds of a clock that lags.
func wantGone(t *testing.T, store ginsession.Store, id string, expires time.Time) {
	t.Helper()
	for end := expires.Add(6 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := store.Load(ctx, id); errors.Is(err, ginsession.ErrNotFound) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a record outlives its expiry by more than 6 seconds")
		}
	}
}

func longLifetimes(t *testing.T, store ginsession.Store) {
	const day = 24 * time.Hour
	for _, lifetime := range []time.Duration{time.Millisecond * 300, 29 * day, 30*day - time.Second, 30 * day, 30*day + time.Second, 31 * day, 365 * day} {
		id := newID()
		r := record("one", nil)
		r.Expires = time.Now().Add(lifetime)
		if err := store.Save(ctx, id, r); err != nil {
			t.Fatal(err)
		}
		wantData(t, store, id, "one")
		r.Version = load(t, store, id).Version
		r.Expires = time.Now().Add(lifetime)
		if err := store.Save(ctx, id, r); err != nil {
			t.Fatal(err)
		}
		wantData(t, store, id, "one")
	}
}

func oneSaveWins(t *testing.T, store ginsession.Store) {
	for range 20 {
		id := create(t, store, "one")
		version := load(t, store, id).Version
		oneWins(t, store, id, version)
	}
}

func oneCreateWins(t *testing.T, store ginsession.Store) {
	for range 20 {
		oneWins(t, store, newID(), nil)
	}
}

func oneWins(t *testing.T, store ginsession.Store, id string, version any) {
	t.Helper()
	var winners atomic.Int32
	var winner atomic.Value
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			data := fmt.Sprint("writer ", i)
			switch err := store.Save(ctx, id, record(data, version)); {
			case err == nil:
				winners.Add(1)
				winner.Store(data)
			case !errors.Is(err, ginsession.ErrConflict):
				t.Errorf("got error %v, want %v", err, ginsession.ErrConflict)
			}
		})
	}
	all.Wait()
	if n := winners.Load(); n != 1 {
		t.Fatalf("%d of 16 saves over one version succeeded, want 1", n)
	}
	wantData(t, store, id, winner.Load().(string))
}

func dataCopied(t *testing.T, store ginsession.Store) {
	id := newID()
	r := record("one", nil)
	if err := store.Save(ctx, id, r); err != nil {
		t.Fatal(err)
	}
	r.Data[0] = 'X'
	load(t, store, id).Data[1] = 'X'
	wantData(t, store, id, "one")
}

func cancelled(t *testing.T, store ginsession.Store) {
	id := create(t, store, "one")
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := store.Load(gone, id); err == nil || errors.Is(err, ginsession.ErrNotFound) {
		t.Errorf("a load under a cancelled context gave %v, want its error", err)
	}
}
