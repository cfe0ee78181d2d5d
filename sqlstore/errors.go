package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/ginsession/ginsession"
)

// What to do about an error, for several codes each.
const (
	adviseTable     = "there is no table %q: create it with Store.Migrate, or by the SQL in the README of sqlstore; sqlstore.WithTable changes its name"
	adviseShape     = "the table %q has another shape than sqlstore's: give the store a table of its own (sqlstore.WithTable), and create it with Store.Migrate or by the SQL in the README"
	adviseRights    = "the database's user may not do this: GRANT it SELECT, INSERT, UPDATE and DELETE on the table %q"
	adviseReadOnly  = "the database takes no writes: connect to the primary, or end its read-only mode"
	adviseFull      = "the disk or the tablespace of the database is full: make room"
	adviseMemory    = "the database is out of memory: its log says why"
	adviseMany      = "the database takes no more connections: lower db.SetMaxOpenConns, or raise the server's limit"
	adviseLogin     = "the database does not accept this user, password or database name: look at what sql.Open was given"
	adviseStarting  = "the database is starting up or shutting down: try again in a moment"
	adviseEnded     = "the database ends its connections: its log says why"
	adviseCancelled = "the database has cancelled the statement: look at its statement_timeout or max_statement_time"
	adviseBusy      = "other statements lock the session's row or the table for longer than sqlstore.WithTimeout allows"
	adviseLocked    = "another connection locks the database for longer than sqlstore.WithTimeout allows: keep transactions short, set journal_mode=WAL, and a busy_timeout below that limit"
	adviseDamaged   = "the file is damaged, or is no database: restore it from a backup"
	adviseOpen      = "the database's file cannot be opened, read or written: look at its path, its permissions and the disk"
)

// advice is, for a SQLSTATE of PostgreSQL, the beginning of one, or an error
// number of MySQL, the way out.
var advice = map[string]string{
	"42P01": adviseTable, "3F000": adviseTable, "1146": adviseTable,
	"42": adviseShape, "22": adviseShape, "23": adviseShape,
	"1048": adviseShape, "1054": adviseShape, "1264": adviseShape, "1364": adviseShape, "1366": adviseShape, "1406": adviseShape,
	"42501": adviseRights, "1142": adviseRights, "1143": adviseRights, "1044": adviseRights,
	"25006": adviseReadOnly, "1290": adviseReadOnly, "1792": adviseReadOnly, "1836": adviseReadOnly,
	"53100": adviseFull, "1021": adviseFull, "1030": adviseFull, "1114": adviseFull,
	"53200": adviseMemory, "1037": adviseMemory, "1041": adviseMemory,
	"53300": adviseMany, "1040": adviseMany, "1203": adviseMany, "1226": adviseMany,
	"28": adviseLogin, "3D000": adviseLogin, "1045": adviseLogin, "1046": adviseLogin, "1049": adviseLogin,
	"57P": adviseStarting, "1053": adviseStarting,
	"08": adviseEnded, "1927": adviseEnded, "3169": adviseEnded, "4031": adviseEnded,
	"57014": adviseCancelled, "1317": adviseCancelled, "1969": adviseCancelled, "3024": adviseCancelled,
	"40": adviseBusy, "55P03": adviseBusy, "1205": adviseBusy, "1213": adviseBusy,
	"58030": adviseOpen, "XX001": adviseDamaged, "XX002": adviseDamaged,
}

// adviceSQLite is what the errors of SQLite, whatever the driver, contain.
var adviceSQLite = []struct{ text, way string }{
	{"no such table", adviseTable},
	{"no such column", adviseShape},
	{"has no column named", adviseShape},
	{"ON CONFLICT clause does not match", adviseShape},
	{"constraint failed", adviseShape},
	{"datatype mismatch", adviseShape},
	{"readonly database", adviseReadOnly},
	{"database or disk is full", adviseFull},
	{"out of memory", adviseMemory},
	{"is locked", adviseLocked},
	{"malformed", adviseDamaged},
	{"not a database", adviseDamaged},
	{"unable to open", adviseOpen},
	{"disk I/O error", adviseOpen},
}

const mysqlDuplicate = "1062"

// sqlstateLen is the length of a SQLSTATE; a number of MySQL has four digits.
const sqlstateLen = 5

// mysqlNumber finds the number in an error of go-sql-driver/mysql: "Error 1146
// (42S02): Table …".
var mysqlNumber = regexp.MustCompile(`\bError (\d{4})\b`)

// code returns the SQLSTATE or the number that the server has given an error,
// "" if there is none.
func code(err error) string {
	if err == nil {
		return ""
	}
	var state interface{ SQLState() string }
	if errors.As(err, &state) { // pgx and lib/pq
		return state.SQLState()
	}
	if match := mysqlNumber.FindStringSubmatch(err.Error()); match != nil {
		return match[1]
	}
	return ""
}

// explain wraps an error in [ginsession.ErrUnavailable], with the way out.
func (s *Store) explain(err error) error {
	way := s.advise(err)
	switch {
	case way != "" && strings.Contains(way, "%q"):
		return fmt.Errorf("%w: "+way+": %w", ginsession.ErrUnavailable, s.table, err)
	case way != "":
		return fmt.Errorf("%w: %s: %w", ginsession.ErrUnavailable, way, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %v has not answered in time (sqlstore.WithTimeout: %v): %w", ginsession.ErrUnavailable, s.dialect, s.timeout, err)
	case errors.Is(err, context.Canceled):
		return err
	case code(err) != "":
		return fmt.Errorf("%w: %v refuses: %w", ginsession.ErrUnavailable, s.dialect, err)
	}
	return fmt.Errorf("%w: %v does not answer: %w", ginsession.ErrUnavailable, s.dialect, err)
}

// advise returns the way out of an error, "" if none is known.
func (s *Store) advise(err error) string {
	text := err.Error()
	if errors.Is(err, errShape) || strings.Contains(text, "unable to encode") || strings.Contains(text, "Scan error") { // as pgx has it, and as sql.Rows does
		return adviseShape
	}
	if s.dialect == SQLite {
		for _, row := range adviceSQLite {
			if strings.Contains(text, row.text) {
				return row.way
			}
		}
		if errors.Is(err, context.DeadlineExceeded) { // a driver waits for a lock without a word
			return adviseLocked
		}
		return ""
	}
	c := code(err)
	if way, known := advice[c]; known || len(c) != sqlstateLen {
		return way
	}
	if way, known := advice[c[:3]]; known {
		return way
	}
	return advice[c[:2]] // the class
}
