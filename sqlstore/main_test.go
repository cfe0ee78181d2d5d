package sqlstore_test

import (
	"context"
	"database/sql"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/gin-gonic/gin"
	_ "modernc.org/sqlite"

	"github.com/ginsession/ginsession/sqlstore"
	"github.com/ginsession/ginsession/sqlstore/internal/sqltest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	sqltest.Quiet()
	flag.Parse()
	_ = flag.Set("test.parallel", "4") // they wait for servers more than they compute
	code := m.Run()
	sqltest.End()
	os.Exit(code)
}

// database is one to keep sessions in.
type database struct {
	name    string
	dialect sqlstore.Dialect
	kind    *sqltest.Kind // nil for SQLite
}

var (
	postgreSQL = database{"PostgreSQL", sqlstore.PostgreSQL, sqltest.PostgreSQL}
	mariaDB    = database{"MariaDB", sqlstore.MySQL, sqltest.MariaDB}
	sqlite     = database{"SQLite", sqlstore.SQLite, nil}
)

// eachDatabase runs a subtest on every database.
func eachDatabase(t *testing.T, test func(t *testing.T, d database)) {
	t.Helper()
	for _, d := range []database{postgreSQL, mariaDB, sqlite} {
		t.Run(d.name, func(t *testing.T) { test(t, d) })
	}
}

// eachServer runs a subtest on every database that is a server.
func eachServer(t *testing.T, test func(t *testing.T, d database)) {
	t.Helper()
	for _, d := range []database{postgreSQL, mariaDB} {
		t.Run(d.name, func(t *testing.T) { test(t, d) })
	}
}

// open returns a pool for the shared server, or for a new file.
func (d database) open(t testing.TB) *sql.DB {
	t.Helper()
	if d.kind == nil {
		return openFile(t, filepath.Join(t.TempDir(), "sessions.db"), "")
	}
	server := sqltest.Shared(t, d.kind)
	return server.Open(t, server.Addr, "")
}

// openFile returns a pool as the README has it.
func openFile(t testing.TB, path, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(1000)"+params)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// newStore returns a store over a new table.
func (d database) newStore(t testing.TB, db *sql.DB, opts ...sqlstore.Option) (store *sqlstore.Store, table string) {
	t.Helper()
	table = sqltest.Table()
	store = storeOf(t, db, d.dialect, append([]sqlstore.Option{sqlstore.WithTable(table)}, opts...)...)
	if err := store.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return store, table
}

func storeOf(t testing.TB, db *sql.DB, dialect sqlstore.Dialect, opts ...sqlstore.Option) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.New(db, dialect, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func mustExec(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// rows counts those of a table.
func rows(t testing.TB, db *sql.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
