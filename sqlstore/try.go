package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/ginsession/ginsession"
)

const (
	// tries bounds how often a statement is tried because its connection was
	// dead, as all idle ones of the pool are after a restart.
	tries = 50

	// maxPause bounds one pause before a statement is tried again.
	maxPause = 16 * time.Millisecond
)

// try calls do under the store's time limit, for a table of our shape, until it
// succeeds or fails for good. It reports whether the outcome of an earlier try
// is unknown: do may run twice, but what it does must be found out by the second
// run, not done again.
func (s *Store) try(ctx context.Context, do func(context.Context) error) (unsure bool, err error) {
	return s.retry(ctx, func(ctx context.Context) error {
		if err := s.checkShape(ctx); err != nil {
			return err
		}
		return do(ctx)
	})
}

func (s *Store) retry(ctx context.Context, do func(context.Context) error) (unsure bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pause := time.Millisecond
	var before error // of the try before
	for lost := 0; ; before = err {
		err = do(ctx)
		switch {
		case err == nil:
			return unsure, nil
		case ctx.Err() != nil && !isAnswer(err):
			return unsure, errors.Join(ctx.Err(), err, before)
		case isLost(err):
			unsure = true
			if lost++; lost == tries {
				return unsure, err
			}
		case !s.isBusy(err):
			return unsure, err
		}
		if !wait(ctx, rand.N(pause)) { //nolint:gosec // jitter
			return unsure, err
		}
		pause = min(2*pause, maxPause)
	}
}

// wait reports whether there was time to.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// busyCodes are of statements that another one stood in the way of, and that
// were rolled back: serialization failures, deadlocks and lock timeouts.
var busyCodes = []string{"40001", "40P01", "55P03", "1205", "1213"}

func (s *Store) isBusy(err error) bool {
	if s.dialect == SQLite {
		text := err.Error()
		return strings.Contains(text, "database is locked") || strings.Contains(text, "table is locked")
	}
	return slices.Contains(busyCodes, code(err))
}

// lostCodes are of connections that the server ends, and says so in place of a
// reply.
var lostCodes = []string{"57P01", "57P02", "08000", "08003", "08006", "1053", "1927", "3169", "4031"}

// isLost reports whether a connection ended before the reply had come.
func isLost(err error) bool {
	if c := code(err); c != "" {
		return slices.Contains(lostCodes, c)
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return false // no server is there: the next try would not find one either
	}
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) ||
		strings.Contains(err.Error(), "invalid connection") || strings.Contains(err.Error(), "conn closed") // go-sql-driver/mysql; pgx
}

// isAnswer reports whether err is an answer of the database, or ours.
func isAnswer(err error) bool {
	return code(err) != "" || errors.Is(err, sql.ErrNoRows) || errors.Is(err, ginsession.ErrConflict) || errors.Is(err, ginsession.ErrNotFound)
}
