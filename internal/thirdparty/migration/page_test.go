package migration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "github.com/gin-contrib/sessions/memstore" // the page names them
	_ "github.com/gin-contrib/sessions/redis"

	"github.com/ginsession/ginsession/internal/docstest"
)

// TestPage_leftColumn compiles what docs/MIGRATION.md says that apps on
// gin-contrib/sessions write. The right column is compiled with all other
// documents.
func TestPage_leftColumn(t *testing.T) {
	text, err := os.ReadFile("../../../docs/MIGRATION.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(`package page
import (
	"encoding/gob"
	"net/http"
	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memcached"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"
)
type Line struct{}
func _(r *gin.Engine, c *gin.Context, s sessions.Session, store sessions.Store, secret string, newKey, oldKey, authKey, encKey []byte, overTLS bool) {
`)
	found := 0
	for _, code := range docstest.Cells(string(text), true) {
		if regexp.MustCompile(`^(Path|Domain|Secure|HttpOnly|SameSite|MaxAge):`).MatchString(code) {
			code = "sessions.Options{" + code + "}"
		}
		if !regexp.MustCompile(`(sessions|cookie|memstore|memcached|redis|gob)\.[A-Z]|\bs\.[A-Z].*\(`).MatchString(code) || code == "sessions.Sessions" {
			continue
		}
		statement, ok := docstest.Statement(code)
		switch {
		case !ok:
			t.Errorf("no Go: %s", code)
		case code == "sessions.Session" || code == "sessions.Options":
			statement = "var _ " + code
		}
		b.WriteString(statement + "\n")
		found++
	}
	if found < 35 {
		t.Errorf("only %d pieces of Go found", found)
	}
	build(t, b.String()+"}\n")
}

// TestPage_versions wants the versions that go.mod raises an app to.
func TestPage_versions(t *testing.T) {
	page, err := os.ReadFile("../../../docs/MIGRATION.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	versions := regexp.MustCompile(`(?s)\ngo (1\.\d+).*gin-gonic/gin v(1\.\d+)`).FindSubmatch(mod)
	if want := fmt.Sprintf("It raises Go to %s and gin to %s ", versions[1], versions[2]); !strings.Contains(string(page), want) {
		t.Errorf("the page does not say: %s", want)
	}
}

// TestPage_moves wants as many tests as the page has lines that need a second
// look.
func TestPage_moves(t *testing.T) {
	page, err := os.ReadFile("../../../docs/MIGRATION.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("moves_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "## What needs a second look")
	text, _, _ = strings.Cut(text, "\n## ")
	rows := regexp.MustCompile(`(?m)^\| .* \|$`).FindAllString(text, -1)
	tests := regexp.MustCompile(`(?m)^func TestMove_(\w+)`).FindAllString(string(source), -1)
	if len(rows)-1 != len(tests) { // without the head
		t.Errorf("got %d lines and %d tests, want as many", len(rows)-1, len(tests))
	}
}

// build compiles a file as if it were in a package below this one: a module of its
// own would need a go.sum.
func build(t *testing.T, source string) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	file, overlay := filepath.Join(t.TempDir(), "page.go"), filepath.Join(t.TempDir(), "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(dir, "page", "page.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{file: []byte(source), overlay: list} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "./page").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
