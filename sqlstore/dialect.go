package sqlstore

import (
	"strconv"
	"strings"
)

// Dialect is the SQL that a database speaks.
type Dialect int

// The dialects. The zero Dialect is none of them.
const (
	PostgreSQL Dialect = iota + 1 // 9.5 or newer
	MySQL                         // 5.7 or newer, and MariaDB 10.3 or newer
	SQLite                        // 3.24 or newer
)

// String returns the name of the dialect.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	case SQLite:
		return "SQLite"
	}
	return "Dialect(" + strconv.Itoa(int(d)) + ")"
}

// statements are the SQL of one table. Nothing but its name, which matches
// [tableName], is ever put into them: all else is bound as a parameter.
type statements struct {
	load, look, create, replace, change, remove, expire string

	schema []string // what makes the table
}

const (
	load   = "SELECT version, data FROM @table WHERE id = ? AND expires > ?"
	look   = "SELECT version FROM @table WHERE id = ? AND expires > ?"
	insert = "INSERT INTO @table (id, version, expires, data) VALUES (?, ?, ?, ?)"
	change = "UPDATE @table SET version = ?, expires = ?, data = ? WHERE id = ? AND version = ? AND expires > ?"
	remove = "DELETE FROM @table WHERE id = ?"

	// insertOrReplace replaces a row only if it has expired.
	insertOrReplace = insert + " ON CONFLICT (id) DO UPDATE SET version = excluded.version, expires = excluded.expires, data = excluded.data WHERE @table.expires <= ?"

	// replace is the second half of it for MySQL, whose ON DUPLICATE KEY UPDATE
	// has no condition and counts rows in a way that the connection chooses.
	replace = "UPDATE @table SET version = ?, expires = ?, data = ? WHERE id = ? AND expires <= ?"
)

// What deletes expired rows, a limited number at once.
const (
	expirePostgreSQL = "DELETE FROM @table WHERE id IN (SELECT id FROM @table WHERE expires <= ? LIMIT ? FOR UPDATE SKIP LOCKED)"
	expireMySQL      = "DELETE FROM @table WHERE expires <= ? LIMIT ?"
	expireSQLite     = "DELETE FROM @table WHERE id IN (SELECT id FROM @table WHERE expires <= ? LIMIT ?)"
)

var (
	schemaPostgreSQL = []string{`CREATE TABLE IF NOT EXISTS @table (
  id      varchar(64) COLLATE "C" PRIMARY KEY,
  version bigint NOT NULL,
  expires bigint NOT NULL,
  data    bytea  NOT NULL
)`, `CREATE INDEX IF NOT EXISTS @index ON @table (expires)`}

	schemaMySQL = []string{`CREATE TABLE IF NOT EXISTS @table (
  id      varbinary(64) NOT NULL PRIMARY KEY,
  version bigint        NOT NULL,
  expires bigint        NOT NULL,
  data    mediumblob    NOT NULL,
  INDEX @index (expires)
) ENGINE = InnoDB`}

	schemaSQLite = []string{`CREATE TABLE IF NOT EXISTS @table (
  id      text    PRIMARY KEY,
  version integer NOT NULL,
  expires integer NOT NULL,
  data    blob    NOT NULL
)`, `CREATE INDEX IF NOT EXISTS @index ON @table (expires)`}
)

func (d Dialect) statements(table string) statements {
	st := statements{load: load, look: look, create: insertOrReplace, replace: replace, change: change, remove: remove}
	switch d {
	case PostgreSQL:
		st.expire, st.schema = expirePostgreSQL, schemaPostgreSQL
	case MySQL:
		st.create, st.expire, st.schema = insert, expireMySQL, schemaMySQL
	case SQLite:
		st.expire, st.schema = expireSQLite, schemaSQLite
	}
	for _, text := range []*string{&st.load, &st.look, &st.create, &st.replace, &st.change, &st.remove, &st.expire} {
		*text = d.complete(*text, table)
	}
	schema := make([]string, len(st.schema))
	for i, text := range st.schema {
		schema[i] = d.complete(text, table)
	}
	st.schema = schema
	return st
}

// complete puts a table's name into a statement, and numbers the parameters
// if the dialect wants that.
func (d Dialect) complete(text, table string) string {
	quote := `"`
	if d == MySQL {
		quote = "`"
	}
	_, name, qualified := strings.Cut(table, ".")
	if !qualified {
		name = table
	}
	text = strings.ReplaceAll(text, "@table", quote+strings.ReplaceAll(table, ".", quote+"."+quote)+quote)
	text = strings.ReplaceAll(text, "@index", quote+name+"_expires"+quote)
	if d != PostgreSQL {
		return text
	}
	parts := strings.Split(text, "?")
	var b strings.Builder
	b.WriteString(parts[0])
	for i, part := range parts[1:] {
		b.WriteString("$" + strconv.Itoa(i+1) + part)
	}
	return b.String()
}
