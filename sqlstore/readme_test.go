package sqlstore_test

import (
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/sqlstore"
)

// blocks returns the code of a language in README.md.
func blocks(t *testing.T, language string) (code []string) {
	t.Helper()
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(readText(t, "README.md"), -1) {
		code = append(code, match[1])
	}
	if len(code) == 0 {
		t.Fatalf("no %s in README.md", language)
	}
	return code
}

// TestReadme_go vets the Go in README.md, each block as the body of a function.
func TestReadme_go(t *testing.T) {
	var b strings.Builder
	b.WriteString("package snippet\n")
	for _, path := range []string{"context", "database/sql", "os", "github.com/gin-gonic/gin", "github.com/ginsession/ginsession",
		"github.com/ginsession/ginsession/sqlstore"} {
		fmt.Fprintf(&b, "import %q\n", path)
	}
	for _, block := range blocks(t, "go") {
		if formatted, err := format.Source([]byte(block)); err != nil || string(formatted) != block {
			t.Errorf("not as gofmt would have it (%v):\n%s", err, block)
		}
		if strings.Contains(block, "deleted, err :=") {
			block += "_ = deleted\nif err != nil { return err }\n"
		}
		fmt.Fprintf(&b, "func _(ctx context.Context, store *sqlstore.Store, r *gin.Engine, secret string) error {\n{\n%s}\nreturn nil\n}\n", block)
	}
	vet(t, b.String())
}

// vet type-checks and vets a file in a module of its own, which requires this one.
func vet(t *testing.T, source string) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	const this = "github.com/ginsession/ginsession/sqlstore"
	mod := strings.Replace(readText(t, "go.mod"), "module "+this, "module readme", 1)
	mod = strings.Replace(mod, "=> ../", "=> "+strconv.Quote(filepath.Dir(here)), 1)
	mod += fmt.Sprintf("require %s v0.0.0\nreplace %[1]s => %[2]q\n", this, here)
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": mod, "go.sum": readText(t, "go.sum"), "snippet.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tool := exec.CommandContext(t.Context(), "go", "vet", ".")
	tool.Dir = dir
	if out, err := tool.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

// TestReadme_sql compares the SQL in README.md with what Migrate runs.
func TestReadme_sql(t *testing.T) {
	code := blocks(t, "sql")
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
	code := blocks(t, "sql")
	for i, d := range []database{postgreSQL, mariaDB, sqlite} {
		t.Run(d.name, func(t *testing.T) {
			db := d.open(t)
			for _, statement := range strings.SplitAfter(strings.TrimSpace(code[i]), ";") {
				if statement != "" {
					mustExec(t, db, strings.TrimSuffix(statement, ";"))
				}
			}
			mustSave(t, storeOf(t, db, d.dialect), "id", stored("one", nil))
			if err := storeOf(t, db, d.dialect).Migrate(t.Context()); err != nil {
				t.Error(err)
			}
			mustExec(t, db, "DROP TABLE ginsession")
		})
	}
}

// TestReadme_links wants a file behind every link that does not leave the
// repository.
func TestReadme_links(t *testing.T) {
	for _, link := range regexp.MustCompile(`\]\(([^)#]*)\)`).FindAllStringSubmatch(readText(t, "README.md"), -1) {
		if strings.HasPrefix(link[1], "https://") {
			continue
		}
		if _, err := os.Stat(link[1]); err != nil {
			t.Errorf("link to %q: %v", link[1], err)
		}
	}
}
