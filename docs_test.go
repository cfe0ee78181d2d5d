package ginsession_test

import (
	"fmt"
	"go/format"
	"html/template"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/docstest"
)

// documents are all that the project says in Markdown, by the files' names.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			texts[name] = readText(t, name)
		}
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", filepath.Join("docs", "MIGRATION.md")} {
		if texts[name] == "" {
			t.Fatalf("%s is missing", name)
		}
	}
	return texts
}

// TestDocs_blocks wants to know every language that has code: the tests below
// run it.
func TestDocs_blocks(t *testing.T) {
	known := map[string]bool{"go": true, "sh": true, "console": true, "html": true, "python": true, "text": true}
	for name, text := range documents(t) {
		for i, fence := range regexp.MustCompile("(?m)^```(.*)$").FindAllStringSubmatch(text, -1) {
			if i%2 == 0 && !known[fence[1]] {
				t.Errorf("%s: no test runs code in %q", name, fence[1])
			}
		}
	}
}

// TestDocs_go builds and vets the Go in all documents: programs as they are,
// all else as the body of a function.
func TestDocs_go(t *testing.T) {
	sources := map[string]string{}
	for name, text := range documents(t) {
		for _, block := range docstest.Blocks(text, "go") {
			if formatted, err := format.Source([]byte(block)); err != nil || string(formatted) != block {
				t.Errorf("%s: not as gofmt would have it (%v):\n%s", name, err, block)
			}
			sources[fmt.Sprintf("snippet%d", len(sources))] = wholeFile(block)
		}
	}
	if len(sources) < 15 {
		t.Errorf("only %d pieces of Go found", len(sources))
	}
	goTool(t, sources, "build", "-o", t.TempDir())
	goTool(t, sources, "vet")
}

// TestDocs_lines compiles what the tables offer in place of something else.
func TestDocs_lines(t *testing.T) {
	least := map[string]int{"README.md": 20, filepath.Join("docs", "FLASK.md"): 30, filepath.Join("docs", "MIGRATION.md"): 30}
	sources := map[string]string{}
	for name, text := range documents(t) {
		var body strings.Builder
		found := 0
		for _, code := range docstest.Cells(text, false) {
			if regexp.MustCompile(`^With[A-Z]`).MatchString(code) {
				code = "ginsession." + code
			}
			if !regexp.MustCompile(`\bginsession\.|\bs\.[A-Z]`).MatchString(code) || strings.Contains(code, "redisstore.") { // that module has a test of its own
				continue
			}
			statement, ok := docstest.Statement(code)
			if !ok {
				t.Errorf("%s: no Go: %s", name, code)
			}
			body.WriteString(statement + "\n")
			found++
		}
		if found < least[name] {
			t.Errorf("%s: only %d pieces of Go found", name, found)
		}
		if found > 0 {
			sources[fmt.Sprintf("lines%d", len(sources))] = wholeFile(body.String())
		}
	}
	goTool(t, sources, "vet")
}

// TestDocs_html shows a flash message with every piece of a template.
func TestDocs_html(t *testing.T) {
	for name, text := range documents(t) {
		for _, block := range docstest.Blocks(text, "html") {
			r := newEngine(t)
			r.SetHTMLTemplate(template.Must(template.New("page.html").Parse(block)))
			r.GET("/", func(c *gin.Context) {
				ginsession.From(c).AddFlash("<Saved>", "success")
				c.HTML(200, "page.html", gin.H{"session": ginsession.From(c)})
			})
			body := do(t, r, "GET", "/").Body.String()
			if !strings.Contains(body, "&lt;Saved&gt;") || !strings.Contains(body, "success") {
				t.Errorf("%s: got %q of %q", name, body, block)
			}
		}
	}
}

// TestDocs_python runs the Python, on an app of its own.
func TestDocs_python(t *testing.T) {
	for name, text := range documents(t) {
		for _, block := range docstest.Blocks(text, "python") {
			python := exec.CommandContext(t.Context(), pythonWithFlask(t), "-c", "import flask\napp = flask.Flask('app')\n"+block)
			if out, err := python.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

// TestDocs_faults wants a test for each line of docs/MIGRATION.md that names
// one.
func TestDocs_faults(t *testing.T) {
	text := readText(t, "docs/MIGRATION.md")
	var tests []string
	for _, names := range testFunctions(t) {
		tests = append(tests, names...)
	}
	_, faults, _ := strings.Cut(text, "## What stops going wrong")
	rows := regexp.MustCompile("(?m)^\\| .* \\| `(\\w+)` \\|$").FindAllStringSubmatch(faults, -1)
	for _, row := range rows {
		if !slices.Contains(tests, "TestFault_"+row[1]) {
			t.Errorf("there is no TestFault_%s", row[1])
		}
	}
	other := slices.DeleteFunc(tests, func(name string) bool { return !strings.HasPrefix(name, "TestFault_") })
	if len(rows) != len(other) {
		t.Errorf("got %d lines and %d tests, want as many", len(rows), len(other))
	}
}

// TestDocs_links wants a file or a heading behind every link that does not
// leave the repository, and the files that the prose names.
func TestDocs_links(t *testing.T) {
	texts := documents(t)
	for name, text := range texts {
		for _, target := range docstest.Links(text) {
			if strings.HasPrefix(target, "https://") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			file := name
			if path != "" {
				file = filepath.Join(filepath.Dir(name), filepath.FromSlash(path))
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: link to %q: %v", name, target, err)
			}
			if anchor != "" && !docstest.Anchors(texts[file])[anchor] {
				t.Errorf("%s: link to %q: no such heading", name, target)
			}
		}
		for _, match := range regexp.MustCompile("`((?:docs|cmd|scripts|testdata|internal|_example)/[\\w./]*)`").FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(match[1]); err != nil {
				t.Errorf("%s speaks of it: %v", name, err)
			}
		}
	}
}
