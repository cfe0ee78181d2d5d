package sqlstore_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/sqlstore"
)

func TestNew_options(t *testing.T) {
	db := sqlite.open(t)
	timeout, table := sqlstore.WithTimeout, sqlstore.WithTable
	rows := []struct {
		db          *sql.DB
		dialect     sqlstore.Dialect
		opts        []sqlstore.Option
		option, way string
	}{
		{nil, sqlstore.SQLite, nil, "New", "sql.Open"},
		{db, 0, nil, "New", "no dialect 0"},
		{db, 4, nil, "New", "no dialect 4"},
		{db, sqlstore.SQLite, []sqlstore.Option{table("s"), nil}, "options", "option 2 is nil"},
		{db, sqlstore.SQLite, []sqlstore.Option{timeout(0)}, "WithTimeout", "10ms or more"},
		{db, sqlstore.SQLite, []sqlstore.Option{timeout(-time.Second)}, "WithTimeout", "10ms or more"},
		{db, sqlstore.SQLite, []sqlstore.Option{timeout(time.Millisecond)}, "WithTimeout", "10ms or more"},
		{db, sqlstore.SQLite, []sqlstore.Option{table("main.s")}, "WithTable", "which SQLite has none of"},
	}
	for _, row := range rows {
		_, err := sqlstore.New(row.db, row.dialect, row.opts...)
		storesuite.WantMistake(t, err, "sqlstore."+row.option, row.way)
	}
}

func TestWithTable_names(t *testing.T) {
	db := sqlite.open(t)
	long := strings.Repeat("x", 50)
	for _, name := range []string{"sessions", "s", "_", "order", "a1_b2", "web.sessions", long, long + "." + long} {
		if _, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.WithTable(name)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "1s", "Sessions", "s s", "s;", "s\"", "s`", "s'", "s--", "a.b.c", ".s", "s.", "séance", "s\n", "s\x00", "?", "$1", "@table", long + "x"} {
		_, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.WithTable(name))
		storesuite.WantMistake(t, err, "sqlstore.WithTable", "a-z 0-9 _")
	}
}

func TestDialect_String(t *testing.T) {
	names := map[sqlstore.Dialect]string{sqlstore.PostgreSQL: "PostgreSQL", sqlstore.MySQL: "MySQL", sqlstore.SQLite: "SQLite", 0: "Dialect(0)"}
	for d, want := range names {
		if got := d.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMust(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic over a mistake")
		}
	}()
	sqlstore.Must(sqlstore.New(nil, sqlstore.SQLite))
}

// TestWithTimeout: a store that reports a limit of its own gets no deadline from
// ginsession.
func TestWithTimeout(t *testing.T) {
	db := sqlite.open(t)
	for want, opts := range map[time.Duration][]sqlstore.Option{2 * time.Second: nil, time.Minute: {sqlstore.WithTimeout(time.Minute)}} {
		var store ginsession.Store = sqlstore.Must(sqlstore.New(db, sqlstore.SQLite, opts...))
		if limited, ok := store.(interface{ CallTimeout() time.Duration }); !ok || limited.CallTimeout() != want {
			t.Errorf("got no limit of its own, or another than %v", want)
		}
	}
}
