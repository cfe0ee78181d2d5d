package sqlstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/docstest"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/sqlstore"
)

// TestReadme_go vets the Go in README.md, each block as the body of a function.
func TestReadme_go(t *testing.T) {
	var b strings.Builder
	b.WriteString("package snippet\n")
	for _, path := range []string{"context", "database/sql", "os", "github.com/gin-gonic/gin", "github.com/ginsession/ginsession",
		"github.com/ginsession/ginsession/sqlstore"} {
		fmt.Fprintf(&b, "import %q\n", path)
	}
	for _, block := range docstest.Go(t, "README.md", docstest.Read(t, "README.md")) {
		if strings.Contains(block, "deleted, err :=") {
			block += "_ = deleted\nif err != nil { return err }\n"
		}
		fmt.Fprintf(&b, "func _(ctx context.Context, store *sqlstore.Store, r *gin.Engine, secret string) error {\n{\n%s}\nreturn nil\n}\n", block)
	}
	docstest.Tool(t, ".", map[string]string{"snippet": b.String()}, "vet")
}

// TestReadme_sql compares the SQL in README.md with what Migrate runs.
func TestReadme_sql(t *testing.T) {
	code := docstest.Blocks(docstest.Read(t, "README.md"), "sql")
	for i, dialect := range []sqlstore.Dialect{sqlstore.PostgreSQL, sqlstore.MySQL, sqlstore.SQLite} {
		runs := strings.Join(storeOf(t, sqlite.open(t), dialect).Schema(), ";\n") + ";\n"
		runs = strings.NewReplacer("`", "", `"`, "").Replace(runs)
		if want := strings.ReplaceAll(code[i], `"`, ""); runs != want {
			t.Errorf("%v: Migrate runs\n%swant what README.md has:\n%s", dialect, runs, want)
		}
	}
}

// TestReadme_sqlRuns makes the tables of README.md and uses them.
func TestReadme_sqlRuns(t *testing.T) {
	code := docstest.Blocks(docstest.Read(t, "README.md"), "sql")
	for i, d := range []database{postgreSQL, mariaDB, sqlite} {
		t.Run(d.name, func(t *testing.T) {
			db := d.open(t)
			for _, statement := range strings.SplitAfter(strings.TrimSpace(code[i]), ";") {
				if statement != "" {
					mustExec(t, db, strings.TrimSuffix(statement, ";"))
				}
			}
			storesuite.MustSave(t, storeOf(t, db, d.dialect), "id", storesuite.Stored("one", nil))
			if err := storeOf(t, db, d.dialect).Migrate(t.Context()); err != nil {
				t.Error(err)
			}
			mustExec(t, db, "DROP TABLE ginsession")
		})
	}
}

func TestReadme_links(t *testing.T) { docstest.CheckLinks(t, "README.md") }
