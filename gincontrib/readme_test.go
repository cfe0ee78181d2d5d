package gincontrib_test

import (
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/docstest"
)

// TestReadme_go vets the Go in README.md: functions as they are, all else as the
// body of a function.
func TestReadme_go(t *testing.T) {
	blocks := docstest.Blocks(readText(t, "README.md"), "go")
	if len(blocks) < 4 {
		t.Errorf("only %d pieces of Go in README.md", len(blocks))
	}
	var b strings.Builder
	for _, block := range blocks {
		if formatted, err := format.Source([]byte(block)); err != nil || string(formatted) != block {
			t.Errorf("not as gofmt would have it (%v):\n%s", err, block)
		}
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
	for _, code := range docstest.Cells(readText(t, filepath.Join("..", "docs", "MIGRATION.md")), false) {
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

// vet type-checks and vets functions in a module of their own, which requires this
// one.
func vet(t *testing.T, functions string) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	source.WriteString("package snippet\n")
	for _, path := range []string{"fmt", "net/http", "github.com/gin-contrib/sessions", "github.com/gin-contrib/sessions/cookie",
		"github.com/gin-gonic/gin", "github.com/ginsession/ginsession", "github.com/ginsession/ginsession/gincontrib"} {
		if strings.Contains(functions, filepath.Base(path)+".") {
			fmt.Fprintf(&source, "import %q\n", path)
		}
	}
	source.WriteString("type T = string\ntype Line struct{}\n" + functions)
	const this = "github.com/ginsession/ginsession/gincontrib"
	mod := strings.Replace(readText(t, "go.mod"), "module "+this, "module readme", 1)
	mod = strings.Replace(mod, "=> ../", "=> "+strconv.Quote(filepath.Dir(here)), 1)
	mod += fmt.Sprintf("require %s v0.0.0\nreplace %[1]s => %[2]q\n", this, here)
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": mod, "go.sum": readText(t, "go.sum"), "snippet.go": source.String()} {
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

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadme_links wants a file behind every link that does not leave the
// repository.
func TestReadme_links(t *testing.T) {
	for _, link := range docstest.Links(readText(t, "README.md")) {
		path, anchor, _ := strings.Cut(link, "#")
		if strings.HasPrefix(link, "https://") {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("link to %q: %v", link, err)
		}
		if anchor != "" && !docstest.Anchors(readText(t, path))[anchor] {
			t.Errorf("link to %q: no such heading", link)
		}
	}
}
