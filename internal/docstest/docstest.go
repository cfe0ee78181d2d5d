// Package docstest finds the code in the project's documents, for tests that
// compile and run it.
package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

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
// loop, or a pointer type. It returns false where code is no Go.
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
