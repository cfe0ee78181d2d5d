// Package sqlstore keeps the sessions of
// [github.com/ginsession/ginsession] in a table of a SQL database: PostgreSQL,
// MySQL or MariaDB, or SQLite, over database/sql and a driver of the app's
// choice.
//
//	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
//	...
//	store := sqlstore.Must(sqlstore.New(db, sqlstore.PostgreSQL))
//	err = store.Migrate(ctx) // creates the table if it is missing
//	...
//	r.Use(ginsession.Must(ginsession.New(secret, ginsession.WithStore(store))))
//
// Each session is one row, under a hash of the session's id. Its data is
// encrypted and bound to its id: anyone who can write to the table can delete
// sessions and restore older rows, but can neither read nor forge one.
//
// # Versions
//
// Each row has a version: 62 random bits, new for each save. A save is a
// compare-and-swap: an UPDATE of the row with the id and the version that were
// loaded, which is one atomic statement. Versions are never reused, whatever is
// deleted or restored. A save that is tried again because its connection was lost finds its
// own version in the row if the first try was done, and so is idempotent.
//
// # Expiry
//
// A row's expiry is a time of the app's clock, in Unix milliseconds, and is
// compared with the clock of the app that reads it: the clocks of several
// machines have to agree, as NTP makes them. Expired rows are not loaded. About
// once a minute a save deletes up to a hundred of them, and the next save goes
// on if there are more; [Store.Cleanup] deletes all.
//
// # Durability
//
// A save that was acknowledged is as durable as the database's commits are:
// with synchronous_commit=off in PostgreSQL, innodb_flush_log_at_trx_commit
// other than 1 in MySQL, or synchronous=NORMAL in SQLite's WAL mode, a machine
// that loses its power may lose the last ones, and a log-out among them comes
// undone. So may a failover to a replica that lags behind.
package sqlstore
