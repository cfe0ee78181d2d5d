package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver for PostgreSQL
	_ "modernc.org/sqlite"             // the driver for SQLite

	"github.com/ginsession/ginsession/sqlstore"
)

// openSQL makes a store over postgres://user:password@host/database, over
// mysql://user:password@host:3306/database, or in a file of SQLite. Its table is
// created if it is missing.
func openSQL(name string) (*sqlstore.Store, error) {
	driver, dialect := "sqlite", sqlstore.SQLite
	scheme, _, isURL := strings.Cut(name, "://")
	switch {
	case isURL && strings.HasPrefix(scheme, "postgres"):
		driver, dialect = "pgx", sqlstore.PostgreSQL
	case isURL && scheme == "mysql":
		u, err := url.Parse(name)
		if err != nil {
			return nil, errors.New("SQL is no URL such as mysql://user:password@127.0.0.1:3306/app") // err shows the password
		}
		c := mysql.NewConfig()
		c.Net, c.Addr, c.DBName, c.InterpolateParams = "tcp", u.Host, strings.TrimPrefix(u.Path, "/"), true
		c.User = u.User.Username()
		c.Passwd, _ = u.User.Password()
		driver, dialect, name = "mysql", sqlstore.MySQL, c.FormatDSN()
	default:
		name = "file:" + name + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(1000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(50)
	db.SetMaxIdleConns(50)
	store, err := sqlstore.New(db, dialect)
	if err != nil {
		return nil, err
	}
	return store, store.Migrate(context.Background())
}
