package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/sqlstore"
	"github.com/ginsession/ginsession/sqlstore/internal/sqltest"
	"github.com/ginsession/ginsession/storetest"
)

func TestStore_contract(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		store, _ := d.newStore(t, d.open(t), patient)
		storetest.Run(t, store)
	})
}

// patient is for tests of anything but time.
var patient = sqlstore.WithTimeout(20 * time.Second)

// The settings of a connection that change how statements meet each other, how
// rows are counted, or how parameters travel.
func TestStore_connections(t *testing.T) {
	rows := []struct {
		name, params string
		d            database
	}{
		{"serializable", "&default_transaction_isolation=serializable", postgreSQL},
		{"repeatable read", "&default_transaction_isolation=repeatable%20read", postgreSQL},
		{"simple protocol", "&default_query_exec_mode=simple_protocol", postgreSQL},
		{"exec", "&default_query_exec_mode=exec", postgreSQL},
		{"found rows", "&clientFoundRows=true", mariaDB},
		{"serializable", "&tx_isolation=%27SERIALIZABLE%27", mariaDB},
		{"read committed", "&tx_isolation=%27READ-COMMITTED%27", mariaDB},
		{"not strict", "&sql_mode=%27%27", mariaDB},
		{"prepared", "&interpolateParams=false", mariaDB},
		{"rollback journal", "&_pragma=journal_mode(DELETE)", sqlite},
		{"no busy timeout", "&_pragma=busy_timeout(0)", sqlite},
	}
	for _, row := range rows {
		t.Run(row.d.name+" "+row.name, func(t *testing.T) {
			t.Parallel()
			var db *sql.DB
			if row.d.kind != nil {
				server := sqltest.Shared(t, row.d.kind)
				db = server.Open(t, server.Addr, row.params)
			} else {
				db = openFile(t, t.TempDir()+"/db", row.params)
			}
			shortContract(t, row.d, db)
		})
	}
	t.Run("SQLite in memory", func(t *testing.T) {
		db := openFile(t, ":memory:", "")
		db.SetMaxOpenConns(1)
		shortContract(t, sqlite, db)
	})
}

// shortContract is the part of the contract that a connection may spoil.
func shortContract(t *testing.T, d database, db *sql.DB) {
	store, _ := d.newStore(t, db, patient)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, data := range []string{"", string(every), strings.Repeat(string(every), 256)} {
		storesuite.MustSave(t, store, "id", storesuite.Stored(data, nil))
		storesuite.WantErr(t, store.Save(t.Context(), "id", storesuite.Stored(data, nil)), ginsession.ErrConflict)
		first := storesuite.MustLoad(t, store, "id").Version
		r := storesuite.Stored(data, first)
		storesuite.MustSave(t, store, "id", r)
		storesuite.WantErr(t, store.Save(t.Context(), "id", r), ginsession.ErrConflict) // nothing but the version differs
		if got := string(storesuite.MustLoad(t, store, "id").Data); got != data {
			t.Errorf("got %d bytes, want the %d that were saved", len(got), len(data))
		}
		if err := store.Delete(t.Context(), "id"); err != nil {
			t.Fatal(err)
		}
		storesuite.WantErr(t, store.Save(t.Context(), "id", r), ginsession.ErrNotFound)
		storesuite.MustSave(t, store, "id", ginsession.Record{Data: []byte("x"), Expires: time.Now().Add(-time.Hour)})
		storesuite.MustSave(t, store, "id", storesuite.Stored(data, nil)) // in place of what has expired
		storesuite.WantErr(t, store.Save(t.Context(), "id", r), ginsession.ErrConflict)
		if err := store.Delete(t.Context(), "id"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		id := fmt.Sprint("race", i)
		wantOneWinner(t, store, id, nil)
		wantOneWinner(t, store, id, storesuite.MustLoad(t, store, id).Version)
	}
}

func wantOneWinner(t *testing.T, store ginsession.Store, id string, version any) {
	t.Helper()
	var winners atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			switch err := store.Save(context.Background(), id, storesuite.Stored("x", version)); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, ginsession.ErrConflict):
				t.Errorf("got %v, want ErrConflict", err)
			}
		})
	}
	all.Wait()
	if n := winners.Load(); n != 1 {
		t.Errorf("%d of 16 saves succeeded, want 1", n)
	}
}

func TestStore_sessions(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		store, _ := d.newStore(t, d.open(t), patient)
		storesuite.RunSessions(t, store, storesuite.Sizes{Increments: 200, Sets: 100, Flashes: 60, Races: 60})
	})
}

func TestStore_tooLarge(t *testing.T) {
	store, _ := sqlite.newStore(t, sqlite.open(t))
	storesuite.TooLarge(t, store, 1<<20)
}

func TestStore_versionOfAnother(t *testing.T) {
	store, _ := sqlite.newStore(t, sqlite.open(t))
	storesuite.ForeignVersion(t, store)
}

// A row that has expired counts as gone for every method, whether or not it has
// been deleted, and a record may be created in its place.
func TestStore_expired(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		store, table := d.newStore(t, db)
		store.SetSwept()
		end := time.Now().Add(time.Hour).Truncate(time.Second)
		storesuite.MustSave(t, store, "id", ginsession.Record{Data: []byte("one"), Expires: end})
		old := storesuite.MustLoad(t, store, "id").Version

		store.SetNow(func() time.Time { return end.Add(-time.Millisecond) })
		storesuite.MustLoad(t, store, "id")
		later := ginsession.Record{Data: []byte("two"), Expires: end.Add(time.Hour), Version: old}
		for _, now := range []time.Time{end, end.Add(time.Minute)} {
			store.SetNow(func() time.Time { return now })
			store.SetSwept()
			storesuite.WantErr(t, storesuite.LoadErr(store), ginsession.ErrNotFound)
			storesuite.WantErr(t, store.Save(t.Context(), "id", later), ginsession.ErrNotFound)
		}

		later.Version = nil
		storesuite.MustSave(t, store, "id", later)
		if got := string(storesuite.MustLoad(t, store, "id").Data); got != "two" {
			t.Errorf("got %q, want what was saved in its place", got)
		}
		storesuite.WantErr(t, store.Save(t.Context(), "id", later), ginsession.ErrConflict)
		later.Version = old
		storesuite.WantErr(t, store.Save(t.Context(), "id", later), ginsession.ErrConflict)
		if n := rows(t, db, table); n != 1 {
			t.Errorf("got %d rows, want 1", n)
		}
	})
}

// A record that expires while another is created in its place is a conflict: the
// contract of Save has no other word for it.
func TestStore_expiresMeanwhile(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		store, _ := d.newStore(t, d.open(t))
		end := time.Now().Add(time.Hour).Truncate(time.Second)
		storesuite.MustSave(t, store, "id", ginsession.Record{Data: []byte("one"), Expires: end})
		asked := 0
		store.SetNow(func() time.Time {
			asked++
			return end.Add(time.Duration(min(asked, 2)-2) * time.Millisecond)
		})
		storesuite.WantErr(t, store.Save(t.Context(), "id", storesuite.Stored("two", nil)), ginsession.ErrConflict)
	})
}

// An expiry is never earlier than it was asked for, however far it is.
func TestStore_expiryRounded(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		store, _ := d.newStore(t, d.open(t))
		now := time.UnixMilli(time.Now().UnixMilli())
		store.SetNow(func() time.Time { return now })
		expiries := []time.Time{now.Add(time.Nanosecond), now.Add(400 * 24 * time.Hour), now.Add(math.MaxInt64), time.Unix(1<<60, 0)}
		for i, expires := range expiries {
			id := fmt.Sprint("id", i)
			storesuite.MustSave(t, store, id, ginsession.Record{Data: []byte("x"), Expires: expires})
			storesuite.MustLoad(t, store, id)
		}
	})
}

// expired fills a table with rows that have.
func expired(t *testing.T, store *sqlstore.Store, n int) {
	t.Helper()
	store.SetSwept()
	for i := range n {
		storesuite.MustSave(t, store, fmt.Sprint("old", i), ginsession.Record{Data: []byte("x"), Expires: time.Now().Add(-time.Hour)})
	}
}

// A save deletes up to a hundred expired rows, and the next one goes on. Then
// none looks for a minute.
func TestStore_sweep(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		store, table := d.newStore(t, db)
		now := time.Now()
		store.SetNow(func() time.Time { return now })
		expired(t, store, 250)
		left := func(after time.Duration, save string) int {
			store.SetNow(func() time.Time { return now.Add(after) })
			storesuite.MustSave(t, store, save, storesuite.Stored("live", nil))
			return rows(t, db, table)
		}
		steps := []struct {
			after time.Duration
			want  int // rows, those that live included
		}{{0, 251}, {59 * time.Second, 252}, {2 * time.Minute, 153}, {2 * time.Minute, 54}, {2 * time.Minute, 5}}
		for i, step := range steps {
			if got := left(step.after, fmt.Sprint("live", i)); got != step.want {
				t.Errorf("save %d, %v later: got %d rows, want %d", i, step.after, got, step.want)
			}
		}
		store.SetSwept()
		storesuite.MustSave(t, store, "gone", ginsession.Record{Data: []byte("x"), Expires: now})
		if got := left(2*time.Minute+30*time.Second, "live5"); got != 7 {
			t.Errorf("half a minute later: got %d rows, want 7: none is deleted yet", got)
		}
	})
}

func TestStore_Cleanup(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		store, table := d.newStore(t, db)
		storesuite.MustSave(t, store, "id", storesuite.Stored("live", nil))
		expired(t, store, 3)
		for range 10 {
			mustExec(t, db, copyRows(table))
		}
		if n, err := store.Cleanup(t.Context()); n != 3<<10 || err != nil {
			t.Errorf("got %d deleted and error %v, want %d", n, err, 3<<10)
		}
		if n, live := rows(t, db, table), 1<<10; n != live {
			t.Errorf("got %d rows left, want %d", n, live)
		}
		if n, err := store.Cleanup(t.Context()); n != 0 || err != nil {
			t.Errorf("again: got %d deleted and error %v, want none", n, err)
		}
	})
}

// copyRows doubles a table.
func copyRows(table string) string {
	name := sqltest.Table()
	return fmt.Sprintf("INSERT INTO %s (id, version, expires, data) SELECT CONCAT(id, '%s'), version, expires, data FROM %[1]s", table, name)
}

func TestStore_holdsNothingInTheClear(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		store, table := d.newStore(t, db)
		storesuite.Secrets(t, store, func() map[string]string { return contents(t, db, table) }, func(id, value string) {
			storesuite.MustSave(t, store, id, storesuite.Stored(value, storesuite.MustLoad(t, store, id).Version))
		})
	})
}

func contents(t *testing.T, db *sql.DB, table string) map[string]string {
	t.Helper()
	found, err := db.QueryContext(t.Context(), "SELECT id, data FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	held := map[string]string{}
	for found.Next() {
		var id, value string
		if err := found.Scan(&id, &value); err != nil {
			t.Fatal(err)
		}
		held[id] = value
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return held
}

func TestStore_anonymousReadsStoreNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		store, table := d.newStore(t, db)
		storesuite.NothingStored(t, store, func() int { return rows(t, db, table) })
	})
}

// An id is a parameter, never SQL.
func TestStore_injection(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		store, table := d.newStore(t, db)
		storesuite.MustSave(t, store, "other", storesuite.Stored("other", nil))
		ids := []string{"' OR '1'='1", "x'; DROP TABLE " + table + "; --", "\\' OR 1=1 -- ", "%", "other ", "OTHER", "`", "\"", "?", "$1"}
		for _, id := range ids {
			if _, err := store.Load(t.Context(), id); !errors.Is(err, ginsession.ErrNotFound) {
				t.Errorf("%q: got %v, want ErrNotFound", id, err)
			}
			storesuite.MustSave(t, store, id, storesuite.Stored(id, nil))
			storesuite.MustSave(t, store, id, storesuite.Stored("two "+id, storesuite.MustLoad(t, store, id).Version))
			if got := string(storesuite.MustLoad(t, store, id).Data); got != "two "+id {
				t.Errorf("%q: got %q", id, got)
			}
			if err := store.Delete(t.Context(), id); err != nil {
				t.Errorf("%q: %v", id, err)
			}
		}
		if n, data := rows(t, db, table), storesuite.MustLoad(t, store, "other").Data; n != 1 || string(data) != "other" {
			t.Errorf("got %d rows and %q, want the one that was there", n, data)
		}
	})
}
