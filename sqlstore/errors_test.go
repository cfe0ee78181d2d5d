package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/sqlstore"
	"github.com/ginsession/ginsession/sqlstore/internal/sqltest"
)

// wantRefused checks that an error is ErrUnavailable and says what to do.
func wantRefused(t *testing.T, err error, way string) {
	t.Helper()
	if !errors.Is(err, ginsession.ErrUnavailable) || !strings.Contains(err.Error(), way) {
		t.Errorf("got %v, want %v with %q", err, ginsession.ErrUnavailable, way)
	}
}

// wantNoWrites checks that the store refuses all that writes, serves what it
// has, and that an app then answers 503.
func wantNoWrites(t *testing.T, store *sqlstore.Store, way string) {
	t.Helper()
	version := storesuite.MustLoad(t, store, "id").Version
	wantRefused(t, store.Save(t.Context(), "id", storesuite.Stored(large("two"), version)), way)
	wantRefused(t, store.Save(t.Context(), "new", storesuite.Stored(large("two"), nil)), way)
	if got := storesuite.MustLoad(t, store, "id"); string(got.Data) != "one" || got.Version != version {
		t.Errorf("got %d bytes, want what was there", len(got.Data))
	}
	if _, err := store.Load(t.Context(), "new"); !errors.Is(err, ginsession.ErrNotFound) {
		t.Errorf("a record that was refused: got %v, want ErrNotFound", err)
	}
	if status, body, cookie := storesuite.Get(storesuite.App(store), "/set/"+large("x"), ""); status != http.StatusServiceUnavailable || body != "Service Unavailable\n" || cookie != "" {
		t.Errorf("got %d %q, cookie sent: %v, want 503 and none", status, body, cookie != "")
	}
}

// large is what a page that has some room left has no room for.
func large(s string) string { return strings.Repeat(s, 40000) }

func TestRefusal_readOnly(t *testing.T) {
	const way = "the database takes no writes: connect to the primary"
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		server := sqltest.Shared(t, sqltest.PostgreSQL)
		store, table := postgreSQL.newStore(t, server.Open(t, server.Addr, ""))
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
		readOnly := storeOf(t, server.Open(t, server.Addr, "&default_transaction_read_only=on"), sqlstore.PostgreSQL, sqlstore.WithTable(table))
		wantNoWrites(t, readOnly, way)
		wantRefused(t, readOnly.Delete(t.Context(), "id"), way)
	})
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		server := sqltest.Start(t, sqltest.MariaDB)
		admin := server.Open(t, server.Addr, "")
		store, table := mariaDB.newStore(t, admin)
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
		mustExec(t, admin, "CREATE USER 'web'@'127.0.0.1' IDENTIFIED BY 'none of ours'")
		mustExec(t, admin, "GRANT SELECT, INSERT, UPDATE, DELETE ON app.* TO 'web'@'127.0.0.1'")
		mustExec(t, admin, "SET GLOBAL read_only = ON") // which the user app need not heed
		wantNoWrites(t, storeOf(t, server.OpenAs(t, "web", "none of ours"), sqlstore.MySQL, sqlstore.WithTable(table)), way)
	})
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		store, table := sqlite.newStore(t, openFile(t, path, ""))
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
		wantNoWrites(t, storeOf(t, openFile(t, path, "&mode=ro"), sqlstore.SQLite, sqlstore.WithTable(table)), way)
	})
}

func TestRefusal_full(t *testing.T) {
	const way = "is full: make room"
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		server := sqltest.Start(t, sqltest.MariaDB, "--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:24M", "--innodb-autoextend-increment=1")
		store, _ := mariaDB.newStore(t, server.Open(t, server.Addr, ""))
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
		wantRefused(t, fill(t, store), way) // and not more: the server may have found some room by now
		if got := string(storesuite.MustLoad(t, store, "id").Data); got != "one" {
			t.Errorf("got %q, want what was there", got)
		}
		emptied(t, store)
	})
	t.Run("SQLite", func(t *testing.T) {
		store, _ := sqlite.newStore(t, openFile(t, t.TempDir()+"/db", "&_pragma=max_page_count(200)"))
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
		wantRefused(t, fill(t, store), way)
		wantNoWrites(t, store, way)
		emptied(t, store)
	})
}

// fill saves records until there is no room. A server may find some once more.
func fill(t *testing.T, store *sqlstore.Store) (refusal error) {
	t.Helper()
	refused := 0
	for i := range 1000 {
		err := store.Save(t.Context(), fmt.Sprint("full", i), storesuite.Stored(large("x"), nil))
		if err == nil {
			refused = 0
		} else if refused++; refused == 20 {
			return err
		}
	}
	t.Fatal("there is room for a thousand records")
	return nil
}

// emptied deletes some again: there is room then. A server may need room to
// delete, and time until what was deleted is room.
func emptied(t *testing.T, store *sqlstore.Store) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for i := range 30 {
			_ = store.Delete(t.Context(), fmt.Sprint("full", i))
		}
		if err = store.Save(t.Context(), "room", storesuite.Stored("x", nil)); err == nil {
			return
		}
	}
	t.Errorf("with room again: %v", err)
}

func TestRefusal_rights(t *testing.T) {
	const way = "GRANT it SELECT, INSERT, UPDATE and DELETE"
	eachServer(t, func(t *testing.T, d database) {
		t.Parallel()
		server := sqltest.Shared(t, d.kind)
		admin := server.Open(t, server.Addr, "")
		store, table := d.newStore(t, admin)
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
		user := "reader"
		if d.dialect == sqlstore.PostgreSQL {
			mustExec(t, admin, "CREATE USER reader PASSWORD 'none of ours'")
		} else {
			user = "'reader'@'127.0.0.1'"
			mustExec(t, admin, "CREATE USER "+user+" IDENTIFIED BY 'none of ours'")
		}
		mustExec(t, admin, "GRANT SELECT ON "+table+" TO "+user)
		reader := storeOf(t, server.OpenAs(t, "reader", "none of ours"), d.dialect, sqlstore.WithTable(table))
		wantNoWrites(t, reader, way)
		wantRefused(t, reader.Delete(t.Context(), "id"), way)
		wantRefused(t, reader.Migrate(t.Context()), "")
		mustExec(t, admin, "GRANT INSERT, UPDATE, DELETE ON "+table+" TO "+user) // all that it needs
		storesuite.MustSave(t, reader, "id", storesuite.Stored("two", storesuite.MustLoad(t, reader, "id").Version))
		storesuite.MustSave(t, reader, "new", storesuite.Stored("two", nil))
		if err := reader.Delete(t.Context(), "new"); err != nil {
			t.Error(err)
		}
		if _, err := reader.Cleanup(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusal_password(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		server := sqltest.Shared(t, d.kind)
		err := storesuite.LoadErr(storeOf(t, server.OpenAs(t, "app", "hunter2"), d.dialect))
		wantRefused(t, err, "does not accept this user, password or database name")
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	})
}

func TestRefusal_tooManyConnections(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		t.Parallel()
		server := sqltest.Start(t, d.kind, map[string][]string{
			"PostgreSQL": {"-c", "max_connections=5", "-c", "superuser_reserved_connections=0", "-c", "max_wal_senders=0"},
			"MariaDB":    {"--max-connections=10", "--extra-max-connections=1"},
		}[d.name]...)
		db := server.Open(t, server.Addr, "")
		for range 11 { // MariaDB has one more for who may do all
			conn, err := db.Conn(t.Context())
			if err != nil {
				break
			}
			defer func() { _ = conn.Close() }()
		}
		wantRefused(t, storesuite.LoadErr(storeOf(t, server.Open(t, server.Addr, ""), d.dialect)), "lower db.SetMaxOpenConns")
	})
}

func TestRefusal_statementTimeout(t *testing.T) {
	server := sqltest.Shared(t, sqltest.PostgreSQL)
	admin := server.Open(t, server.Addr, "")
	store, table := postgreSQL.newStore(t, admin)
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	tx, err := admin.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE "+table); err != nil {
		t.Fatal(err)
	}
	impatient := storeOf(t, server.Open(t, server.Addr, "&statement_timeout=50"), sqlstore.PostgreSQL, sqlstore.WithTable(table))
	wantRefused(t, storesuite.LoadErr(impatient), "look at its statement_timeout")
}

func TestRefusal_file(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, storesuite.LoadErr(storeOf(t, openFile(t, path, ""), sqlstore.SQLite)), "is no database")
	nowhere := filepath.Join(t.TempDir(), "nowhere", "db")
	wantRefused(t, storesuite.LoadErr(storeOf(t, openFile(t, nowhere, ""), sqlstore.SQLite)), "look at its path")
}

func TestRefusal_nobodyThere(t *testing.T) {
	eachServer(t, func(t *testing.T, d database) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		_ = l.Close()
		store := storeOf(t, sqltest.Shared(t, d.kind).Open(t, addr, ""), d.dialect)
		start := time.Now()
		for _, err := range []error{storesuite.LoadErr(store), store.Save(t.Context(), "id", storesuite.Stored("one", nil)), store.Delete(t.Context(), "id"), store.Migrate(t.Context())} {
			wantRefused(t, err, d.dialect.String()+" does not answer")
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("four refused connections took %v, want 1s at most", took)
		}
	})
}

// What no server of ours can be brought to say, and what other drivers do.
func TestRefusal_fakes(t *testing.T) {
	mysql, postgres, lite := sqlstore.MySQL, sqlstore.PostgreSQL, sqlstore.SQLite
	rows := []struct {
		dialect sqlstore.Dialect
		err     error
		way     string
	}{
		{postgres, state("53100"), "is full: make room"},
		{postgres, state("53200"), "out of memory"},
		{postgres, state("53400"), "PostgreSQL refuses"},
		{postgres, state("57P03"), "starting up"},
		{postgres, state("57P01"), "starting up or shutting down"},
		{postgres, state("40001"), "other statements lock"},
		{postgres, state("40P01"), "other statements lock"},
		{postgres, state("55P03"), "other statements lock"},
		{postgres, state("58030"), "cannot be opened"},
		{postgres, state("XX001"), "damaged"},
		{postgres, state("3D000"), "database name"},
		{postgres, state("3F000"), "there is no table"},
		{postgres, state("P0001"), "PostgreSQL refuses"},
		{postgres, fmt.Errorf("in front: %w", state("25006")), "takes no writes"},
		{mysql, errors.New("Error 1021 (HY000): Disk full"), "is full: make room"},
		{mysql, errors.New("Error 1114: The table is full"), "is full: make room"}, // as old drivers have it
		{mysql, errors.New("Error 1205 (HY000): Lock wait timeout exceeded"), "other statements lock"},
		{mysql, errors.New("Error 1213 (40001): Deadlock found"), "other statements lock"},
		{mysql, errors.New("Error 1836 (HY000): Running in read-only mode"), "takes no writes"},
		{mysql, errors.New("Error 1053 (08S01): Server shutdown in progress"), "starting up or shutting down"},
		{mysql, errors.New("Error 4031 (HY000): disconnected by the server because of inactivity"), "ends its connections"},
		{mysql, errors.New("Error 9999 (HY000): nobody knows"), "MySQL refuses"},
		{mysql, errors.New("invalid connection"), "MySQL does not answer"},
		{lite, errors.New("SQL logic error: no such table: ginsession (1)"), "there is no table"},
		{lite, errors.New("database is locked"), "another connection locks"},
		{lite, errors.New("sqlite3: disk I/O error"), "look at its path"},
		{lite, errors.New("sqlite3: database disk image is malformed"), "restore it"},
		{lite, errors.New("out of memory"), "out of memory"},
		{lite, errors.New("nobody knows"), "SQLite does not answer"},
		{postgres, driver.ErrBadConn, "PostgreSQL does not answer"},
		{postgres, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, "PostgreSQL does not answer"},
	}
	for _, row := range rows {
		t.Run(fmt.Sprint(row.dialect, row.err), func(t *testing.T) {
			t.Parallel()
			db := sql.OpenDB(failing{row.err})
			defer func() { _ = db.Close() }()
			store := storeOf(t, db, row.dialect, sqlstore.WithTimeout(500*time.Millisecond))
			for _, err := range []error{storesuite.LoadErr(store), store.Save(t.Context(), "id", storesuite.Stored("one", nil)), store.Delete(t.Context(), "id")} {
				wantRefused(t, err, row.way)
				storesuite.WantErr(t, err, row.err)
			}
		})
	}
}

// state is an error with a SQLSTATE, as pgx and lib/pq have it.
type state string

func (s state) Error() string    { return "some error" }
func (s state) SQLState() string { return string(s) }

// failing is a database whose every statement fails.
type failing struct{ err error }

func (f failing) Connect(context.Context) (driver.Conn, error) { return f, nil }
func (f failing) Driver() driver.Driver                        { return nil }
func (f failing) Prepare(string) (driver.Stmt, error)          { return nil, f.err }
func (f failing) Close() error                                 { return nil }
func (f failing) Begin() (driver.Tx, error)                    { return nil, f.err }
