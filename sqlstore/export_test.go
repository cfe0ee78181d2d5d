package sqlstore

import "time"

// SetNow replaces the store's clock.
func (s *Store) SetNow(now func() time.Time) { s.now = now }

// SetSwept makes the store believe that it has just looked for expired rows.
func (s *Store) SetSwept() { s.sweep.Store(s.nowMillis() + sweepEvery.Milliseconds()) }

// Schema returns the statements of [Store.Migrate].
func (s *Store) Schema() []string { return s.sql.schema }

// HoldWriter lets no other write begin in SQLite until release is called.
func (s *Store) HoldWriter() (release func()) {
	s.writing <- struct{}{}
	return func() { <-s.writing }
}
