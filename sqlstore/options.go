package sqlstore

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ginsession/ginsession"
)

const (
	defaultTable   = "ginsession"
	defaultTimeout = 2 * time.Second
)

// Option changes one default of [New].
type Option func(*Store)

// WithTable sets the name of the table. The default is "ginsession". A name has
// up to 50 lower-case letters, digits and underscores, and begins with no
// digit; for PostgreSQL and MySQL, that of a schema or database may stand in
// front, as in "web.sessions". Apps that share a database, but not their
// sessions, give each its own table.
func WithTable(name string) Option { return func(s *Store) { s.table = name } }

// WithTimeout bounds each load, save and delete, retries included. The default
// is 2 seconds, the minimum 10 milliseconds. A shorter deadline of the request's
// context applies too. It reaches the database as the deadline of a context,
// which the driver has to honour, as pgx, go-sql-driver/mysql and
// modernc.org/sqlite do.
func WithTimeout(d time.Duration) Option { return func(s *Store) { s.timeout = d } }

// tableName is what may stand between quotes in a statement. An index is named
// after the table, and PostgreSQL cuts names at 63 bytes.
var tableName = regexp.MustCompile(`^(?:[a-z_][a-z0-9_]{0,49}\.)?[a-z_][a-z0-9_]{0,49}$`)

// New returns a store over a database, whose driver and connection pool are the
// caller's. Allow it as many connections as requests use a session at once, and
// let it keep them:
//
//	db.SetMaxOpenConns(50)
//	db.SetMaxIdleConns(50)
//
// New does not connect. The table has to be there before the first session:
// see [Store.Migrate]. Statements run outside of transactions, on the primary:
// behind a proxy that sends reads to replicas, which lag behind, a session that
// was logged out would be seen again.
//
// New returns a [*ginsession.ConfigError] for a nil db, an unknown dialect, a
// table name that does not match the pattern, and a time limit that is too
// short.
func New(db *sql.DB, dialect Dialect, opts ...Option) (*Store, error) {
	s := &Store{db: db, dialect: dialect, table: defaultTable, timeout: defaultTimeout, now: time.Now}
	for i, opt := range opts {
		if opt == nil {
			return nil, wrong("options", fmt.Sprintf("option %d is nil; leave it out", i+1))
		}
		opt(s)
	}
	switch {
	case db == nil:
		return nil, wrong("New", "the database is nil; open one with sql.Open")
	case dialect != PostgreSQL && dialect != MySQL && dialect != SQLite:
		return nil, wrong("New", fmt.Sprintf("there is no dialect %d; give PostgreSQL, MySQL (also for MariaDB) or SQLite", dialect))
	case !tableName.MatchString(s.table):
		return nil, wrong("WithTable", fmt.Sprintf("%q is no table name: up to 50 of a-z 0-9 _, with no digit first, and maybe a schema and a dot in front", s.table))
	case dialect == SQLite && strings.Contains(s.table, "."):
		return nil, wrong("WithTable", fmt.Sprintf("%q names a schema, which SQLite has none of; leave it out", s.table))
	case s.timeout < 10*time.Millisecond:
		return nil, wrong("WithTimeout", "a limit is a time.Duration of 10ms or more, such as 2*time.Second; leave the option out for 2 seconds")
	}
	s.sql = dialect.statements(s.table)
	if dialect == SQLite {
		s.writing = make(chan struct{}, 1)
	}
	return s, nil
}

// Must returns the store, and panics if err is not nil. It is for use at a
// program's start.
func Must(s *Store, err error) *Store {
	if err != nil {
		panic(err)
	}
	return s
}

func wrong(option, reason string) error {
	return &ginsession.ConfigError{Option: "sqlstore." + option, Reason: reason}
}
