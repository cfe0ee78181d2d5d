package redisstore_test

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
)

// TestReadme_go vets the Go in README.md, each block as the body of
// a function.
func TestReadme_go(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(readText(t, "README.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("no Go in README.md")
	}
	var b strings.Builder
	b.WriteString("package snippet\n")
	for _, path := range []string{"time", "github.com/gin-gonic/gin", "github.com/ginsession/ginsession",
		"github.com/ginsession/ginsession/redisstore", "github.com/redis/go-redis/v9"} {
		fmt.Fprintf(&b, "import %q\n", path)
	}
	for _, block := range blocks {
		if formatted, err := format.Source([]byte(block[1])); err != nil || string(formatted) != block[1] {
			t.Errorf("not as gofmt would have it (%v):\n%s", err, block[1])
		}
		unused := ""
		for _, match := range regexp.MustCompile(`(?m)^(\w+) := `).FindAllStringSubmatch(block[1], -1) {
			unused += fmt.Sprintf("_ = %s\n", match[1])
		}
		fmt.Fprintf(&b, "func _(r *gin.Engine, secret string) {\n%s%s}\n", block[1], unused)
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
	const this = "github.com/ginsession/ginsession/redisstore"
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
	for _, link := range regexp.MustCompile(`\]\(([^)#]*)\)`).FindAllStringSubmatch(readText(t, "README.md"), -1) {
		if strings.HasPrefix(link[1], "https://") {
			continue
		}
		if _, err := os.Stat(link[1]); err != nil {
			t.Errorf("link to %q: %v", link[1], err)
		}
	}
}
