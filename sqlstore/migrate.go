package sqlstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ginsession/ginsession"
)

// Migrate creates the table and its index if they are missing. Then it saves,
// changes and deletes a record, and so returns an error if a table of this name
// has another shape, or if the database's user may not do one of these. It may
// run at every start, and in several processes at once. The README has the SQL
// for apps with migrations of their own. Each statement has the time limit of
// [WithTimeout]; ctx ends all.
func (s *Store) Migrate(ctx context.Context) error {
	for _, statement := range s.sql.schema {
		_, err := s.retry(ctx, func(ctx context.Context) error {
			_, err := s.db.ExecContext(ctx, statement)
			if s.dialect == PostgreSQL && slices.Contains(createdMeanwhile, code(err)) {
				_, err = s.db.ExecContext(ctx, statement) // now there is nothing to do
			}
			return err
		})
		if err != nil {
			return s.explain(err)
		}
	}
	return s.probe(ctx)
}

// createdMeanwhile are the errors of CREATE … IF NOT EXISTS in PostgreSQL when
// another process does the same at once.
var createdMeanwhile = []string{"23505", "42P07", "42710"}

// probe takes a record through its life.
func (s *Store) probe(ctx context.Context) error {
	id := rand.Text()
	r := ginsession.Record{Expires: s.now().Add(time.Minute)}
	for range 2 {
		if err := s.Save(ctx, id, r); err != nil {
			return err
		}
		there, err := s.Load(ctx, id)
		if err != nil {
			return err
		}
		r.Version = there.Version
	}
	return s.Delete(ctx, id)
}

// errShape is wrapped in what [Store.checkShape] returns.
var errShape = errors.New("ginsession: the table has another shape")

// column is how MySQL describes one.
type column struct {
	kind, key string
	length    int64
}

const columnsMySQL = "SELECT column_name, data_type, column_key, COALESCE(character_maximum_length, 0) " +
	"FROM information_schema.columns WHERE table_name = ? AND table_schema = "

// checkShape looks, once, at the table of a MySQL server. One whose sql_mode is
// not strict stores what does not fit into a column all the same, cut off: a
// session would be lost, and a version be used twice. The other databases
// refuse.
func (s *Store) checkShape(ctx context.Context) error {
	if s.dialect != MySQL || s.fits.Load() {
		return nil
	}
	columns, err := s.columns(ctx)
	if err != nil || len(columns) == 0 { // no such table: the next statement says so
		return err
	}
	keys := 0
	for _, c := range columns {
		if c.key == "PRI" {
			keys++
		}
	}
	id, data := columns["id"], columns["data"]
	switch {
	case id.kind != "varbinary" || id.length < 43:
		return fmt.Errorf("%w: id is not of type varbinary(64)", errShape)
	case id.key != "UNI" && (id.key != "PRI" || keys > 1):
		return fmt.Errorf("%w: id is not its primary key", errShape)
	case columns["version"].kind != "bigint":
		return fmt.Errorf("%w: version is not of type bigint", errShape)
	case columns["expires"].kind != "bigint":
		return fmt.Errorf("%w: expires is not of type bigint", errShape)
	case !strings.HasSuffix(data.kind, "blob") || data.length < maxData:
		return fmt.Errorf("%w: data is not of type mediumblob", errShape)
	}
	s.fits.Store(true)
	return nil
}

func (s *Store) columns(ctx context.Context) (map[string]column, error) {
	schema, table, qualified := strings.Cut(s.table, ".")
	query, args := columnsMySQL+"?", []any{table, schema}
	if !qualified {
		query, args = columnsMySQL+"DATABASE()", []any{s.table}
	}
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	columns := map[string]column{}
	for rows.Next() {
		var name string
		var c column
		if err := rows.Scan(&name, &c.kind, &c.key, &c.length); err != nil {
			return nil, err
		}
		columns[strings.ToLower(name)] = c
	}
	return columns, rows.Err()
}
