// Package docstest finds the code and the links in the project's documents, for
// tests that compile, run and follow them.
package docstest

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Read returns the text of a file.
func Read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Go returns the blocks of Go in a text. It fails the test if gofmt would change
// one.
func Go(t testing.TB, name, text string) []string {
	t.Helper()
	blocks := Blocks(text, "go")
	for _, block := range blocks {
		if formatted, err := format.Source([]byte(block)); err != nil || string(formatted) != block {
			t.Errorf("%s: not as gofmt would have it (%v):\n%s", name, err, block)
		}
	}
	return blocks
}

// Tool runs a subcommand of go on packages, by their names, in a module that
// requires the one in root and all that it requires.
func Tool(t testing.TB, root string, sources map[string]string, args ...string) {
	t.Helper()
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	mod := Read(t, filepath.Join(root, "go.mod"))
	first, _, _ := strings.Cut(mod, "\n")
	module := strings.TrimPrefix(first, "module ")
	mod = strings.Replace(mod, "module "+module, "module documents", 1)
	mod = strings.Replace(mod, "=> ../", "=> "+strconv.Quote(filepath.Dir(root)), 1)
	mod += fmt.Sprintf("\nrequire %s v0.0.0\nreplace %[1]s => %[2]q\n", module, root)
	files := map[string]string{"go.mod": mod, "go.sum": Read(t, filepath.Join(root, "go.sum"))}
	for name, source := range sources {
		files[filepath.Join(name, "main.go")] = source
	}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tool := exec.CommandContext(t.Context(), "go", append(args, "./...")...)
	tool.Dir = dir
	if out, err := tool.CombinedOutput(); err != nil {
		t.Errorf("go %s: %v\n%s", args[0], err, out)
	}
}

// CheckLinks fails the test if a link of a document leads to a file or a heading
// that does not exist. Links that leave the repository are not followed.
func CheckLinks(t testing.TB, name string) {
	t.Helper()
	for _, link := range Links(Read(t, name)) {
		if strings.HasPrefix(link, "https://") {
			continue
		}
		path, anchor, _ := strings.Cut(link, "#")
		file := name
		if path != "" {
			file = filepath.Join(filepath.Dir(name), filepath.FromSlash(path))
		}
		if _, err := os.Stat(file); err != nil || anchor != "" && !Anchors(Read(t, file))[anchor] {
			t.Errorf("%s: got a link to %q, want a file and a heading that exist", name, link)
		}
	}
}

// Blocks returns the fenced blocks of one language.
func Blocks(text, language string) (blocks []string) {
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	for _, match := range fence.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

var (
	fenced = regexp.MustCompile("(?s)```.*?\n```")
	inline = regexp.MustCompile("`([^`\n]+)`")
	link   = regexp.MustCompile(`\]\(([^)]*)\)`)
	title  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	row    = regexp.MustCompile(`(?m)^\|(.*)\|$`)
	marks  = regexp.MustCompile(`[^a-z0-9 -]`)
)

// Cells returns what stands in backticks in the tables: in the first column,
// or in all others.
func Cells(text string, first bool) (code []string) {
	for _, r := range row.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		for i, cell := range strings.Split(r[1], " | ") {
			if (i == 0) != first {
				continue
			}
			for _, match := range inline.FindAllStringSubmatch(cell, -1) {
				code = append(code, match[1])
			}
		}
	}
	return code
}

// Statement makes a statement of an expression, a statement, the head of a
// loop, or a pointer type. It returns false if code is no Go.
func Statement(code string) (statement string, ok bool) {
	if expr, err := parser.ParseExpr(code); err == nil {
		switch expr.(type) {
		case *ast.CallExpr:
			return code, true
		case *ast.StarExpr:
			return "var _ " + code, true
		}
		return "_ = " + code, true
	}
	if strings.HasPrefix(code, "for ") {
		code += " {}"
	}
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+code+"\n}", 0)
	if err != nil {
		return "", false
	}
	// What it declares counts as used.
	body := file.Decls[0].(*ast.FuncDecl).Body
	switch s := body.List[0].(type) {
	case *ast.AssignStmt:
		return "{\n" + code + use(s.Tok, s.Lhs...) + "}", true
	case *ast.RangeStmt:
		return strings.TrimSuffix(code, "}") + use(s.Tok, s.Key, s.Value) + "}", true
	}
	return code, true
}

func use(tok token.Token, names ...ast.Expr) string {
	var b strings.Builder
	b.WriteString("\n")
	for _, name := range names {
		if id, ok := name.(*ast.Ident); ok && tok == token.DEFINE && id.Name != "_" {
			b.WriteString("_ = " + id.Name + "\n")
		}
	}
	return b.String()
}

// Links returns the targets of the links.
func Links(text string) (targets []string) {
	for _, match := range link.FindAllStringSubmatch(prose(text), -1) {
		targets = append(targets, match[1])
	}
	return targets
}

// Anchors returns what links to the headings end in, by GitHub's rule.
func Anchors(text string) map[string]bool {
	anchors := map[string]bool{}
	for _, heading := range title.FindAllStringSubmatch(prose(text), -1) {
		plain := marks.ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors[strings.ReplaceAll(plain, " ", "-")] = true
	}
	return anchors
}

// prose is a text without its code.
func prose(text string) string {
	return inline.ReplaceAllString(fenced.ReplaceAllString(text, ""), "code")
}
