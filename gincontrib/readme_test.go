package gincontrib_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/docstest"
)

// TestReadme_go vets the Go in README.md: functions as they are, all else as the
// body of a function.
func TestReadme_go(t *testing.T) {
	blocks := docstest.Go(t, "README.md", docstest.Read(t, "README.md"))
	if len(blocks) < 4 {
		t.Errorf("only %d pieces of Go in README.md", len(blocks))
	}
	var b strings.Builder
	for _, block := range blocks {
		if !strings.Contains(block, "\nfunc ") {
			block = "func _(r *gin.Engine, secret, oldSecret string) {\n" + block + "}"
		}
		b.WriteString(block + "\n")
	}
	vet(t, b.String())
}

// TestMigration_lines vets what docs/MIGRATION.md offers of this package.
func TestMigration_lines(t *testing.T) {
	var b strings.Builder
	found := 0
	for _, code := range docstest.Cells(docstest.Read(t, filepath.Join("..", "docs", "MIGRATION.md")), false) {
		if statement, ok := docstest.Statement(code); ok && strings.Contains(code, "gincontrib.") {
			fmt.Fprintf(&b, "func _(r *gin.Engine, s *ginsession.Session) { %s }\n", statement)
			found++
		}
	}
	if found == 0 {
		t.Error("no Go found")
	}
	vet(t, b.String())
}

// vet type-checks and vets functions.
func vet(t *testing.T, functions string) {
	t.Helper()
	var source strings.Builder
	source.WriteString("package snippet\n")
	for _, path := range []string{"fmt", "net/http", "github.com/gin-contrib/sessions", "github.com/gin-contrib/sessions/cookie",
		"github.com/gin-gonic/gin", "github.com/ginsession/ginsession", "github.com/ginsession/ginsession/gincontrib"} {
		if strings.Contains(functions, filepath.Base(path)+".") {
			fmt.Fprintf(&source, "import %q\n", path)
		}
	}
	source.WriteString("type T = string\ntype Line struct{}\n" + functions)
	docstest.Tool(t, ".", map[string]string{"snippet": source.String()}, "vet")
}

func TestReadme_links(t *testing.T) { docstest.CheckLinks(t, "README.md") }
