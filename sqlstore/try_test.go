package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/sqlstore"
	"github.com/ginsession/ginsession/sqlstore/internal/sqltest"
)

// wired returns a store whose one connection runs through a wire, and another
// one over the same table that does not.
func wired(t *testing.T, d database, opts ...sqlstore.Option) (store, direct *sqlstore.Store, wire *sqltest.Wire) {
	t.Helper()
	server := sqltest.Shared(t, d.kind)
	direct, table := d.newStore(t, server.Open(t, server.Addr, ""))
	wire = sqltest.StartWire(t, server.Addr)
	db := server.Open(t, wire.Addr, "")
	db.SetMaxOpenConns(1)
	store = storeOf(t, db, d.dialect, append([]sqlstore.Option{sqlstore.WithTable(table)}, opts...)...)
	store.SetSwept()
	storesuite.MustSave(t, store, "first", storesuite.Stored("one", nil)) // connected, prepared, and the table's shape is known
	storesuite.MustSave(t, store, "first", storesuite.Stored("two", storesuite.MustLoad(t, store, "first").Version))
	return store, direct, wire
}

// loseNext loses the next reply about an id, after what else is to happen.
func loseNext(wire *sqltest.Wire, id string, meanwhile func()) (lost *atomic.Bool) {
	lost = &atomic.Bool{}
	wire.Lose(id, func() bool {
		if lost.Swap(true) {
			return false
		}
		meanwhile()
		return true
	})
	return lost
}

// lossy is an id that no reply about another holds.
const lossy = "the id whose reply is lost"

// A statement whose reply is lost is tried again and done once.
func TestStore_replyLost(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		t.Parallel()
		store, direct, wire := wired(t, d)
		storesuite.MustSave(t, direct, lossy, storesuite.Stored("one", nil))
		one := storesuite.MustLoad(t, direct, lossy).Version
		steps := []struct {
			name string
			do   func() error
			want string // under lossy afterwards
		}{
			{"load", func() error { _, err := store.Load(t.Context(), lossy); return err }, "one"},
			{"change", func() error { return store.Save(t.Context(), lossy, storesuite.Stored("two", one)) }, "two"},
			{"stale change", func() error { return errConflictIsFine(store.Save(t.Context(), lossy, storesuite.Stored("no", one))) }, "two"},
			{"delete", func() error { return store.Delete(t.Context(), lossy) }, ""},
			{"change of nothing", func() error { return errNotFoundIsFine(store.Save(t.Context(), lossy, storesuite.Stored("no", one))) }, ""},
			{"create", func() error { return store.Save(t.Context(), lossy, storesuite.Stored("three", nil)) }, "three"},
		}
		for _, step := range steps {
			lost := loseNext(wire, lossy, func() {})
			if err := step.do(); err != nil || !lost.Load() {
				t.Errorf("%s: got error %v, reply lost: %v", step.name, err, lost.Load())
			}
			wire.Lose("", nil)
			r, _ := direct.Load(t.Context(), lossy)
			if string(r.Data) != step.want {
				t.Errorf("%s: got %q, want %q", step.name, r.Data, step.want)
			}
		}
	})
}

// A conflict after a lost reply may be with oneself: the outcome is unknown.
func errConflictIsFine(err error) error {
	if errors.Is(err, ginsession.ErrUnavailable) && strings.Contains(err.Error(), "the outcome of this save is unknown") {
		return nil
	}
	return fmt.Errorf("got %w, want an unknown outcome", err)
}

func errNotFoundIsFine(err error) error {
	if errors.Is(err, ginsession.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("got %w, want ErrNotFound", err)
}

// If another request saves before the save is found out about, it is not known
// to be done, and is no conflict, which would do it twice.
func TestStore_replyLostAndSavedOver(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		t.Parallel()
		store, direct, wire := wired(t, d)
		storesuite.MustSave(t, direct, lossy, storesuite.Stored("one", nil))
		version := storesuite.MustLoad(t, direct, lossy).Version
		loseNext(wire, lossy, func() {
			r := storesuite.MustLoad(t, direct, lossy)
			storesuite.MustSave(t, direct, lossy, storesuite.Stored(string(r.Data)+" and three", r.Version))
		})
		err := errConflictIsFine(store.Save(t.Context(), lossy, storesuite.Stored("two", version)))
		if got := string(storesuite.MustLoad(t, direct, lossy).Data); err != nil || got != "two and three" {
			t.Errorf("got %q and %v", got, err)
		}
	})
}

// A server that is gone is noticed at once, and one that was restarted is used
// at once, over a pool whose connections are all dead.
func TestStore_restarted(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		t.Parallel()
		server := sqltest.Start(t, d.kind)
		db := server.Open(t, server.Addr, "")
		store, _ := d.newStore(t, db)
		r := storesuite.App(store)
		_, _, cookie := storesuite.Get(r, "/set/x", "")
		var all sync.WaitGroup
		for range 20 { // connections
			all.Go(func() { storesuite.Get(r, "/add", cookie) })
		}
		all.Wait()
		server.Kill()
		start := time.Now()
		if status, body, sent := storesuite.Get(r, "/set/x", ""); status != http.StatusServiceUnavailable || sent != "" || body != "Service Unavailable\n" {
			t.Errorf("server down: got %d %q, cookie sent: %v, want 503 and none", status, body, sent != "")
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("server down: the 503 took %v", took)
		}
		server.Restart()
		for range 20 {
			all.Go(func() {
				if status, body, _ := storesuite.Get(r, "/get", cookie); status != http.StatusOK || body != "x <nil>" {
					t.Errorf("restarted: got %d %q", status, body)
				}
			})
		}
		all.Wait()
	})
}

// The reply to every tenth exchange is lost, while eight writers count: what was
// acknowledged is there, and nothing is there twice.
func TestStore_lostReplies(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		t.Parallel()
		server := sqltest.Shared(t, d.kind)
		direct, table := d.newStore(t, server.Open(t, server.Addr, ""))
		wire := sqltest.StartWire(t, server.Addr)
		r := storesuite.App(storeOf(t, server.Open(t, wire.Addr, ""), d.dialect, sqlstore.WithTable(table)))
		_, _, cookie := storesuite.Get(r, "/set/x", "")
		var replies atomic.Int64
		wire.Lose("", func() bool { return replies.Add(1)%10 == 0 })
		counts := storesuite.Count(t, r, cookie, 200, func(int64) {})
		wire.Lose("", nil)
		counts.Want(t, storesuite.App(direct), cookie)
	})
}

// A server that does not answer costs a request the time limit and no more, and
// is used again as soon as it answers.
func TestStore_stalled(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		t.Parallel()
		server := sqltest.Shared(t, d.kind)
		_, table := d.newStore(t, server.Open(t, server.Addr, ""))
		wire := sqltest.StartWire(t, server.Addr)
		store := storeOf(t, server.Open(t, wire.Addr, ""), d.dialect, sqlstore.WithTable(table), sqlstore.WithTimeout(500*time.Millisecond))
		storesuite.Stalled(t, store, 60, wire.Pause, func() {
			wantRefused(t, storesuite.LoadErr(store), "has not answered in time (sqlstore.WithTimeout: 500ms)")
			wire.Resume()
		}, 3*time.Second)
	})
}

// A row that a transaction locks, or a database, is waited for until the time
// limit, and then used.
func TestStore_locked(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		free, table := d.newStore(t, db)
		storesuite.MustSave(t, free, "id", storesuite.Stored("one", nil))
		version := storesuite.MustLoad(t, free, "id").Version
		store := storeOf(t, db, d.dialect, sqlstore.WithTable(table), sqlstore.WithTimeout(300*time.Millisecond))
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "UPDATE "+table+" SET expires = expires + 1"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		storesuite.WantErr(t, store.Save(t.Context(), "id", storesuite.Stored("two", version)), ginsession.ErrUnavailable)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("a save of a locked row took %v, want 300ms", took)
		}
		if d.kind == nil {
			wantRefused(t, store.Save(t.Context(), "other", storesuite.Stored("two", nil)), "another connection locks the database")
		}
		if got := string(storesuite.MustLoad(t, free, "id").Data); got != "one" {
			t.Errorf("got %q, want what was there", got)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if d.kind == nil {
			storesuite.MustSave(t, free, "id", storesuite.Stored("two", version))
			return
		}
		// A server may still do what nobody waits for.
		for range 2 {
			r := storesuite.MustLoad(t, free, "id")
			if err = free.Save(t.Context(), "id", storesuite.Stored("three", r.Version)); !errors.Is(err, ginsession.ErrConflict) {
				break
			}
		}
		if err != nil {
			t.Errorf("a save after the lock: %v", err)
		}
	})
}

// Those that wait for their turn to write have the time limit too.
func TestStore_writersQueue(t *testing.T) {
	db := sqlite.open(t)
	_, table := sqlite.newStore(t, db)
	store := storeOf(t, db, sqlstore.SQLite, sqlstore.WithTable(table), sqlstore.WithTimeout(200*time.Millisecond))
	release := store.HoldWriter()
	wantRefused(t, store.Save(t.Context(), "id", storesuite.Stored("one", nil)), "another connection locks the database")
	wantRefused(t, store.Delete(t.Context(), "id"), "another connection locks the database")
	storesuite.WantErr(t, storesuite.LoadErr(store), ginsession.ErrNotFound) // readers do not wait
	release()
	for err := ginsession.ErrUnavailable; err != nil; { // in time, on a busy machine
		err = store.Save(t.Context(), "id", storesuite.Stored("one", nil))
	}
}

// A context that is over is an error, and nothing is asked.
func TestStore_contextOver(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		store, _ := d.newStore(t, d.open(t))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := store.Load(ctx, "id")
		for _, err := range []error{err, store.Save(ctx, "id", storesuite.Stored("one", nil)), store.Delete(ctx, "id")} {
			if !errors.Is(err, context.Canceled) || errors.Is(err, ginsession.ErrUnavailable) {
				t.Errorf("got %v, want %v, which is not the database's fault", err, context.Canceled)
			}
		}
		storesuite.WantErr(t, storesuite.LoadErr(store), ginsession.ErrNotFound)
	})
}
