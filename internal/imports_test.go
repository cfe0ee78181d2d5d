package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ginsession/ginsession"

// drawing has the packages of the library and what each may import of the
// others. None may import the root package, which may import all.
var drawing = map[string][]string{
	"codec":       {},
	"cookie":      {"sessionerr"},
	"cookiestore": {"codec", "cookie", "flask", "seal", "sessionerr", "txn"},
	"flask":       {"codec"},
	"journal":     {"codec"},
	"memcached":   {"recordstore", "sessionerr"},
	"recordstore": {"codec", "cookie", "seal", "sessionerr", "txn"},
	"response":    {"sessionerr"},
	"seal":        {},
	"sessionerr":  {},
	"sessionlog":  {"sessionerr", "txn"},
	"txn":         {"codec", "cookie", "journal", "sessionerr"},
}

// helpers are for tests. They may import anything; no package of the library
// imports them.
var helpers = []string{"apptest", "docstest", "explorer", "explorer/mutants", "flasktest", "memcachedtest", "servertest", "storesuite"}

// TestImports compares the imports of all packages of the module with the
// drawing.
func TestImports(t *testing.T) {
	found := imports(t)
	for name, want := range drawing {
		got, ok := found["internal/"+name]
		if !ok {
			t.Errorf("internal/%s is in the drawing and not in the module", name)
		}
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "internal/")
		}
		if !slices.Equal(got, want) {
			t.Errorf("internal/%s imports: got %q, want %q", name, got, want)
		}
	}
	for dir, imported := range found {
		name, isInternal := strings.CutPrefix(dir, "internal/")
		_, drawn := drawing[name]
		switch {
		case isInternal && slices.Contains(helpers, name):
		case isInternal && !drawn:
			t.Errorf("%s is neither in the drawing nor a helper of the tests", dir)
		default:
			for _, helper := range helpers {
				if slices.Contains(imported, "internal/"+helper) {
					t.Errorf("%s: got an import of internal/%s, which is for tests", dir, helper)
				}
			}
		}
	}
}

// imports returns what the packages of this module import of each other, by
// folder, except in tests. The root package is ".".
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string]map[string]bool{}
	root := ".."
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			modules, _ := filepath.Glob(filepath.Join(file, "go.mod"))
			if file != root && (len(modules) > 0 || strings.ContainsAny(entry.Name()[:1], "._")) {
				return fs.SkipDir // a module of its own, or none of Go's
			}
			return nil
		case !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		if found[dir] == nil {
			found[dir] = map[string]bool{}
		}
		for _, spec := range parsed.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if rest, ours := strings.CutPrefix(imported, module); ours {
				found[dir][path.Join(".", strings.TrimPrefix(rest, "/"))] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for dir, set := range found {
		all[dir] = slices.AppendSeq([]string{}, maps.Keys(set))
		slices.Sort(all[dir])
	}
	return all
}
