// Package storetest tells whether a [ginsession.Store] keeps its contract: its
// methods one by one ([Run]), and sessions that many requests use at once
// ([RunSessions]).
//
//	func TestStore(t *testing.T) {
//		store := newStore(t)
//		storetest.Run(t, store)
//		storetest.RunSessions(t, store, storetest.Short)
//	}
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
)

// Run checks each promise of [ginsession.Store].
func Run(t *testing.T, store ginsession.Store) {
	for name, check := range map[string]func(*testing.T, ginsession.Store){
		"load of nothing":         loadNothing,
		"create and load":         createAndLoad,
		"create over something":   createOverSomething,
		"save over a version":     saveOverVersion,
		"save over an old one":    saveOverOldVersion,
		"save over nothing":       saveOverNothing,
		"delete":                  deleteTwice,
		"records are apart":       recordsApart,
		"any bytes":               anyBytes,
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

// newID gives an id as ginsession does: 43 characters of base64url.
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

func expiry(t *testing.T, store ginsession.Store) {
	t.Parallel()
	id := newID()
	r := record("one", nil)
	r.Expires = time.Now().Add(1100 * time.Millisecond)
	if err := store.Save(ctx, id, r); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(r.Expires) - 50*time.Millisecond) // the server's clock cannot be injected
	if _, err := store.Load(ctx, id); err != nil && time.Now().Before(r.Expires) {
		t.Errorf("loading a record before it expires: %v", err)
	}
	for end := r.Expires.Add(6 * time.Second); ; time.Sleep(50 * time.Millisecond) {
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
