package ginsession_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocs_namedTests wants a function behind every test that a page names, and
// one that is run by every "go test -run", -fuzz and -bench on it.
func TestDocs_namedTests(t *testing.T) {
	functions := testFunctions(t)
	var all []string
	for _, names := range functions {
		all = append(all, names...)
	}
	found := 0
	for page, text := range documents(t) {
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|Example)_?[A-Z]\w*`).FindAllString(text, -1) {
			found++
			if !slices.Contains(all, name) {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
		for _, command := range regexp.MustCompile("(?:cd [^ `]+ && )?go test [^`\n]*").FindAllString(text, -1) {
			found++
			checkCommand(t, page, command, functions)
		}
	}
	if found < 30 {
		t.Errorf("found only %d names and commands: this test proves little", found)
	}
}

// checkCommand wants each pattern of a go test to match a function of the
// packages that it names.
func checkCommand(t *testing.T, page, command string, functions map[string][]string) {
	t.Helper()
	packages, patterns := readCommand(command)
	names := functionsIn(functions, packages)
	if names == nil {
		t.Errorf("%s: %q names no package with tests", page, command)
	}
	for _, pattern := range patterns {
		name, _, _ := strings.Cut(pattern, "/") // the rest is for subtests
		if !slices.ContainsFunc(names, regexp.MustCompile(name).MatchString) {
			t.Errorf("%s: %q runs nothing", page, command)
		}
	}
}

// readCommand tells where a go test looks and for what.
func readCommand(command string) (packages string, patterns []string) {
	module, packages := ".", "."
	command = strings.ReplaceAll(command, `\|`, "|") // in a table
	before, after, _ := strings.Cut(command, "go test")
	if dir, ok := strings.CutPrefix(before, "cd "); ok {
		module = strings.TrimSuffix(dir, " && ")
	}
	flag := ""
	for arg := range strings.FieldsSeq(strings.ReplaceAll(after, "=", " ")) {
		switch flag {
		case "-C":
			module = arg
		case "-run", "-fuzz", "-bench":
			if pattern := strings.Trim(arg, "'"); pattern != "^$" { // none
				patterns = append(patterns, pattern)
			}
		default:
			if strings.HasPrefix(arg, ".") {
				packages = arg
			}
		}
		flag = arg
	}
	return filepath.Join(module, packages), patterns
}

// functionsIn gives the functions of a directory, or with /... of all below.
func functionsIn(functions map[string][]string, packages string) (names []string) {
	top, all := strings.CutSuffix(packages, "...")
	for dir, some := range functions {
		if dir == packages || all && strings.HasPrefix(dir+"/", strings.TrimPrefix(top, "./")) {
			names = append(names, some...)
		}
	}
	return names
}

// TestDocs_folders wants a folder behind every go -C, and every command of ours.
func TestDocs_folders(t *testing.T) {
	for page, text := range documents(t) {
		for _, match := range regexp.MustCompile(`go (?:run|test) -C ([^ ]+)|ginsession/ginsession/(cmd/[a-z]+)@`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(match[1] + match[2]); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// TestDocs_makeTargets wants a rule behind every make command.
func TestDocs_makeTargets(t *testing.T) {
	rules := readText(t, "Makefile")
	for page, text := range documents(t) {
		for _, target := range regexp.MustCompile("(?m)(?:`|^)make ([a-z]+)").FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + target[1] + `:`).MatchString(rules) {
				t.Errorf("%s: there is no make %s", page, target[1])
			}
		}
	}
}

// testFunctions gives the names of all test functions by directory.
func testFunctions(t *testing.T) map[string][]string {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	functions := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && len(path) > 1 && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			for _, match := range declaration.FindAllStringSubmatch(readText(t, path), -1) {
				functions[filepath.Dir(path)] = append(functions[filepath.Dir(path)], match[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return functions
}
