package redisstore_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/docstest"
)

// TestReadme_go vets the Go in README.md, each block as the body of a function.
func TestReadme_go(t *testing.T) {
	blocks := docstest.Go(t, "README.md", docstest.Read(t, "README.md"))
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
		unused := ""
		for _, match := range regexp.MustCompile(`(?m)^(\w+) := `).FindAllStringSubmatch(block, -1) {
			unused += fmt.Sprintf("_ = %s\n", match[1])
		}
		fmt.Fprintf(&b, "func _(r *gin.Engine, secret string) {\n%s%s}\n", block, unused)
	}
	docstest.Tool(t, ".", map[string]string{"snippet": b.String()}, "vet")
}

func TestReadme_links(t *testing.T) { docstest.CheckLinks(t, "README.md") }
