package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/ginsession/ginsession"
)

const (
	// maxData is the largest data of a record, in bytes. MariaDB's and MySQL's
	// defaults of max_allowed_packet are 4 MiB or more.
	maxData = 1 << 20

	// sweepRows bounds how many expired rows one save deletes in passing, and
	// sweepEvery how often it looks for some.
	sweepRows  = 100
	sweepEvery = time.Minute

	// cleanupRows is how many rows one statement of [Store.Cleanup] deletes.
	cleanupRows = 1000
)

// Store keeps sessions in a table, for [ginsession.WithStore]. It may be used
// from many goroutines at once, by several middlewares, and by several
// processes over one table.
type Store struct {
	db      *sql.DB
	dialect Dialect
	table   string
	timeout time.Duration
	now     func() time.Time
	sql     statements

	writing chan struct{} // full while SQLite writes, which it does one at a time; else nil

	fits  atomic.Bool  // the table's shape was looked at, and it is ours
	sweep atomic.Int64 // when to look for expired rows again, in Unix milliseconds
}

var _ ginsession.Store = (*Store)(nil)

// version is the row's version: random, new for each save, positive and odd.
type version int64

func newVersion() version {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return version(binary.LittleEndian.Uint64(b[:])>>1 | 1)
}

// Load implements [ginsession.Store], by one SELECT.
func (s *Store) Load(ctx context.Context, id string) (ginsession.Record, error) {
	var data []byte
	var v version
	_, err := s.try(ctx, func(ctx context.Context) error {
		return s.db.QueryRowContext(ctx, s.sql.load, id, s.nowMillis()).Scan(&v, &data)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return ginsession.Record{}, ginsession.ErrNotFound
	}
	if err != nil {
		return ginsession.Record{}, s.explain(err)
	}
	return ginsession.Record{Data: data, Version: v}, nil
}

// Save implements [ginsession.Store], by one INSERT or UPDATE, and by a SELECT
// if that met another version. It returns [ginsession.ErrTooLarge] if the data
// has more than 1048576 bytes. About once a minute it also deletes up to 100
// rows that have expired.
//
// A save whose connection is lost is tried again and is found out by its
// version if it was done. If another request has saved since, the outcome is
// unknown: Save then returns [ginsession.ErrUnavailable], not
// [ginsession.ErrConflict].
func (s *Store) Save(ctx context.Context, id string, r ginsession.Record) error {
	if len(r.Data) > maxData {
		return fmt.Errorf("%w: its record has %d bytes, and sqlstore takes no more than %d; keep less in it",
			ginsession.ErrTooLarge, len(r.Data), maxData)
	}
	save := save{store: s, id: id, version: newVersion(), expires: millis(r.Expires), data: r.Data}
	if save.data == nil {
		save.data = []byte{} // not NULL
	}
	run := save.create
	switch old := r.Version.(type) {
	case nil:
	case version:
		save.old, run = old, save.change
	default:
		return fmt.Errorf("ginsession: a version of type %T is not one that sqlstore gave", r.Version)
	}
	unsure, err := s.try(ctx, run)
	switch {
	case err == nil:
		s.sweepSometimes(ctx)
		return nil
	case errors.Is(err, ginsession.ErrConflict) && unsure:
		return fmt.Errorf("%w: a connection was lost, and another request has saved since: the outcome of this save is unknown", ginsession.ErrUnavailable)
	case errors.Is(err, ginsession.ErrConflict), errors.Is(err, ginsession.ErrNotFound):
		return err
	}
	return s.explain(err)
}

// Delete implements [ginsession.Store], by one DELETE.
func (s *Store) Delete(ctx context.Context, id string) error {
	_, err := s.try(ctx, func(ctx context.Context) error {
		_, err := s.exec(ctx, s.sql.remove, id)
		return err
	})
	if err != nil {
		return s.explain(err)
	}
	return nil
}

// CallTimeout returns the limit of [WithTimeout]. A store that has this method
// gets no deadline from ginsession, unless ginsession.WithStoreTimeout is given.
func (s *Store) CallTimeout() time.Duration { return s.timeout }

// Cleanup deletes the rows that have expired, a thousand at a time, and returns
// how many they were, also with an error. Saves delete expired rows in passing:
// an app needs Cleanup only if it rarely saves, or wants the work done at night.
// The time limit of [WithTimeout] is that of each thousand; ctx ends all.
func (s *Store) Cleanup(ctx context.Context) (deleted int64, err error) {
	for {
		n, err := s.deleteExpired(ctx, cleanupRows)
		deleted += n
		if err != nil {
			return deleted, s.explain(err)
		}
		if n < cleanupRows {
			return deleted, nil
		}
	}
}

// sweepSometimes deletes a few expired rows. If there are more, the next save
// goes on. A failure is none of the request's.
func (s *Store) sweepSometimes(ctx context.Context) {
	now, due := s.nowMillis(), s.sweep.Load()
	if now < due || !s.sweep.CompareAndSwap(due, now+sweepEvery.Milliseconds()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout/4)
	defer cancel()
	if n, err := s.deleteExpired(ctx, sweepRows); err == nil && n == sweepRows {
		s.sweep.Store(now)
	}
}

func (s *Store) deleteExpired(ctx context.Context, most int) (deleted int64, err error) {
	_, err = s.try(ctx, func(ctx context.Context) error {
		deleted, err = s.exec(ctx, s.sql.expire, s.nowMillis(), most)
		return err
	})
	return deleted, err
}

// save is one save of a record.
type save struct {
	store   *Store
	id      string
	version version
	expires int64
	data    []byte
	old     version // of the row that it replaces; 0 if it creates one
}

// create inserts the row, unless there is one that has not expired.
func (v *save) create(ctx context.Context) error {
	s, now := v.store, v.store.nowMillis()
	if s.dialect != MySQL {
		n, err := s.exec(ctx, s.sql.create, v.id, int64(v.version), v.expires, v.data, now)
		return v.judge(ctx, n, err)
	}
	n, err := s.exec(ctx, s.sql.create, v.id, int64(v.version), v.expires, v.data)
	if code(err) == mysqlDuplicate {
		n, err = s.exec(ctx, s.sql.replace, int64(v.version), v.expires, v.data, v.id, now)
	}
	return v.judge(ctx, n, err)
}

// change updates the row of the old version.
func (v *save) change(ctx context.Context) error {
	n, err := v.store.exec(ctx, v.store.sql.change, int64(v.version), v.expires, v.data, v.id, int64(v.old), v.store.nowMillis())
	return v.judge(ctx, n, err)
}

// judge returns the outcome of a statement that changed n rows. If it changed
// none, the row is gone or has another version; or this one, by an earlier try.
func (v *save) judge(ctx context.Context, n int64, err error) error {
	if err != nil || n == 1 {
		return err
	}
	var there version
	s := v.store
	err = s.db.QueryRowContext(ctx, s.sql.look, v.id, s.nowMillis()).Scan(&there)
	switch {
	case errors.Is(err, sql.ErrNoRows) && v.old == 0:
		return ginsession.ErrConflict // there was one a moment ago
	case errors.Is(err, sql.ErrNoRows):
		return ginsession.ErrNotFound
	case err != nil:
		return err
	case there == v.version:
		return nil
	}
	return ginsession.ErrConflict
}

// exec returns how many rows a statement has changed. Writers of SQLite queue up
// here: there, they would poll for the lock, and some would starve.
func (s *Store) exec(ctx context.Context, statement string, args ...any) (rows int64, err error) {
	if s.writing != nil {
		select {
		case s.writing <- struct{}{}:
			defer func() { <-s.writing }()
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	result, err := s.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *Store) nowMillis() int64 { return s.now().UnixMilli() }

// millis rounds up, so that no record expires early.
func millis(t time.Time) int64 {
	if t.Year() > 9999 {
		return math.MaxInt64 // what UnixMilli can count to, and more
	}
	return t.Add(time.Millisecond - 1).UnixMilli()
}
