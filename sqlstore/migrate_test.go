package sqlstore_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/sqlstore"
	"github.com/ginsession/ginsession/sqlstore/internal/sqltest"
)

// Migrate may run at every start, and leaves nothing behind.
func TestStore_Migrate(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		store, table := d.newStore(t, db)
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
		for range 2 {
			if err := store.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got := string(storesuite.MustLoad(t, store, "id").Data); got != "one" {
			t.Errorf("got %q, want what was there", got)
		}
		if n := rows(t, db, table); n != 1 {
			t.Errorf("got %d rows, want 1", n)
		}
	})
}

// Many processes start at once.
func TestStore_MigrateAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		for range 3 {
			table := sqltest.Table()
			var all sync.WaitGroup
			for range 8 {
				store := storeOf(t, db, d.dialect, sqlstore.WithTable(table), patient)
				all.Go(func() {
					if err := store.Migrate(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
	})
}

// A reserved word, and the longest name, in a schema of its own.
func TestStore_MigrateNames(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		mustExec(t, db, "CREATE SCHEMA web_sessions")
		long := strings.Repeat("x", 50)
		for _, table := range []string{"order", long, "web_sessions." + long} {
			store := storeOf(t, db, d.dialect, sqlstore.WithTable(table))
			if err := store.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			storesuite.MustSave(t, store, "id", storesuite.Stored(table, nil))
		}
		if n := rows(t, db, "web_sessions."+long); n != 1 {
			t.Errorf("got %d rows in the schema, want 1", n)
		}
	})
}

// A table of another shape is refused, when the app starts and when it is used,
// and is left alone.
func TestStore_MigrateOtherShape(t *testing.T) {
	tables := []struct {
		name, columns string
		only          string // the database that it is of
	}{
		{"gin-contrib's gorm store", "id varchar(100) PRIMARY KEY, data text, created_at timestamp, updated_at timestamp, expires_at timestamp", ""},
		{"scs", "token varchar(43) PRIMARY KEY, data blob, expiry timestamp", "MariaDB SQLite"},
		{"no key", "id varchar(64), version bigint, expires bigint, data blob", "SQLite"},
		{"no key", "id varchar(64), version bigint, expires bigint, data bytea", "PostgreSQL"},
		{"no key", "id varbinary(64), version bigint, expires bigint, data mediumblob", "MariaDB"},
		{"a key of two", "id varbinary(64), version bigint, expires bigint, data mediumblob, PRIMARY KEY (id, version)", "MariaDB"},
		{"small data", "id varbinary(64) PRIMARY KEY, version bigint, expires bigint, data blob", "MariaDB"},
		{"text data", "id varbinary(64) PRIMARY KEY, version bigint, expires bigint, data mediumtext", "MariaDB"},
		{"text id", "id varchar(64) PRIMARY KEY, version bigint, expires bigint, data mediumblob", "MariaDB"},
		{"short id", "id varbinary(42) PRIMARY KEY, version bigint, expires bigint, data mediumblob", "MariaDB"},
		{"small version", "id varbinary(64) PRIMARY KEY, version int, expires bigint, data mediumblob", "MariaDB"},
		{"small version", "id varchar(64) PRIMARY KEY, version int, expires bigint, data bytea", "PostgreSQL"},
		{"small expiry", "id varbinary(64) PRIMARY KEY, version bigint, expires int, data mediumblob", "MariaDB"},
		{"timestamp", "id varchar(64) PRIMARY KEY, version bigint, expires timestamp, data bytea", "PostgreSQL"},
		{"one more column", "id varchar(64) PRIMARY KEY, version bigint, expires bigint, data bytea, app text NOT NULL", "PostgreSQL"},
		{"one more column", "id varchar(64) PRIMARY KEY, version bigint, expires bigint, data blob, app text NOT NULL", "SQLite"},
		{"a constraint", "id varchar(64) PRIMARY KEY, version bigint, expires bigint, data bytea CHECK (length(data) > 100)", "PostgreSQL"},
	}
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db := d.open(t)
		if d.dialect == sqlstore.MySQL { // where the server would cut off what does not fit
			server := sqltest.Shared(t, d.kind)
			db = server.Open(t, server.Addr, "&sql_mode=%27%27")
		}
		for _, row := range tables {
			if row.only != "" && !strings.Contains(row.only, d.name) {
				continue
			}
			table := sqltest.Table()
			mustExec(t, db, "CREATE TABLE "+table+" ("+row.columns+")")
			store := storeOf(t, db, d.dialect, sqlstore.WithTable(table))
			for _, err := range []error{store.Save(t.Context(), "id", storesuite.Stored("one", nil)), store.Migrate(t.Context())} {
				wantRefused(t, err, "has another shape")
				wantRefused(t, err, table)
			}
			if n := rows(t, db, table); n != 0 {
				t.Errorf("%s: got %d rows, want none", row.name, n)
			}
		}
	})
}

// A table that was made by hand need not be the same to the letter.
func TestStore_otherTypesThatFit(t *testing.T) {
	tables := []struct {
		d       database
		columns string
	}{
		{mariaDB, "id varbinary(255), version bigint unsigned, expires bigint, data longblob, note text, UNIQUE (id)"},
		{postgreSQL, "id text PRIMARY KEY, version numeric, expires bigint, data bytea, note text DEFAULT 'x' NOT NULL"},
		{sqlite, "id PRIMARY KEY, version, expires, data, note"},
	}
	for _, row := range tables {
		t.Run(row.d.name, func(t *testing.T) {
			db, table := row.d.open(t), sqltest.Table()
			mustExec(t, db, "CREATE TABLE "+table+" ("+row.columns+")")
			store := storeOf(t, db, row.d.dialect, sqlstore.WithTable(table))
			storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
			storesuite.MustSave(t, store, "id", storesuite.Stored("two", storesuite.MustLoad(t, store, "id").Version))
			if err := store.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A table that is missing is an error at the first session, until it is there.
func TestStore_missingTable(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d database) {
		t.Parallel()
		db, table := d.open(t), sqltest.Table()
		store := storeOf(t, db, d.dialect, sqlstore.WithTable(table))
		_, err := store.Cleanup(t.Context())
		save := store.Save(t.Context(), "id", storesuite.Stored("one", nil))
		for _, err := range []error{err, storesuite.LoadErr(store), save, store.Delete(t.Context(), "id")} {
			wantRefused(t, err, `there is no table "`+table+`": create it with Store.Migrate`)
		}
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	})
}
