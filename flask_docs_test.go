package ginsession_test

import (
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFlaskDocs_go vets the Go in docs/FLASK.md, each piece as the body of a
// function.
func TestFlaskDocs_go(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(readText(t, "docs/FLASK.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("no Go in docs/FLASK.md")
	}
	sources := map[string]string{}
	for i, block := range blocks {
		if formatted, err := format.Source([]byte(block[1])); err != nil || string(formatted) != block[1] {
			t.Errorf("not as gofmt would have it (%v):\n%s", err, block[1])
		}
		var b strings.Builder
		b.WriteString("package snippet\n")
		for _, path := range []string{"net/http", "net/http/httputil", "net/url", "github.com/gin-gonic/gin", "github.com/ginsession/ginsession"} {
			if strings.Contains(block[1]+"gin.Engine", filepath.Base(path)+".") {
				fmt.Fprintf(&b, "import %q\n", path)
			}
		}
		b.WriteString("func _(r *gin.Engine, secret, newSecret, oldSecret string) {\n" + block[1] + "}\n")
		sources[fmt.Sprintf("snippet%d", i)] = b.String()
	}
	goTool(t, sources, "vet")
}

// TestFlaskDocs_lines compiles the right column of the tables.
func TestFlaskDocs_lines(t *testing.T) {
	text := readText(t, "docs/FLASK.md")
	var b strings.Builder
	b.WriteString("package snippet\nimport (\n\"html/template\"\n\"net/http\"\n\"github.com/ginsession/ginsession\"\n)\n" +
		"type T = string\nfunc _(s *ginsession.Session) {\nuse := func(...any) {}\n_ = template.HTML(\"\")\n_ = http.SameSiteLaxMode\n")
	found := 0
	for _, row := range regexp.MustCompile(`(?m)^\| .*$`).FindAllString(text, -1) {
		for _, code := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(strings.SplitN(row, " | ", 2)[1], -1) {
			switch line := code[1]; {
			case strings.HasPrefix(line, "for "):
				b.WriteString(line + " { use(key) }\n")
			case regexp.MustCompile(`^s\.(Set|AddFlash|Delete|Clear|Destroy|SetPermanent)\(|^ginsession\.Update`).MatchString(line):
				b.WriteString(line + "\n")
			case regexp.MustCompile(`^(s|ginsession)\..*\)$`).MatchString(line):
				b.WriteString("use(" + line + ")\n")
			case strings.HasPrefix(line, "With"):
				b.WriteString("use(ginsession." + line + ")\n")
			default:
				continue
			}
			found++
		}
	}
	if found < 25 {
		t.Errorf("only %d pieces of Go found", found)
	}
	goTool(t, map[string]string{"lines": b.String() + "}\n"}, "vet")
}

func TestFlaskDocs_links(t *testing.T) {
	for _, path := range []string{"_example/flask/main.go", "_example/flask/app.py"} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("docs/FLASK.md speaks of it: %v", err)
		}
	}
}
