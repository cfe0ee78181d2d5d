package docstest_test

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/docstest"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	return docstest.Read(t, filepath.Join(root, name))
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return err == nil
}

// documents are all that the project says in Markdown, by the files' names.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", ".github/*.md", "docs/*.md", "_example/*.md"} {
		names, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, name := range names {
			name, _ = filepath.Rel(root, name)
			texts[name] = read(t, name)
		}
	}
	if texts["README.md"] == "" || len(texts) < 5 {
		t.Fatalf("got %d documents: this test proves nothing", len(texts))
	}
	return texts
}

// languages are those of blocks that the tests below run.
var languages = []string{"go", "sh", "console", "html", "python", "text"}

func TestBlocks_languages(t *testing.T) {
	for name, text := range documents(t) {
		for i, fence := range regexp.MustCompile("(?m)^```(.*)$").FindAllStringSubmatch(text, -1) {
			if i%2 == 0 && !slices.Contains(languages, fence[1]) {
				t.Errorf("%s: got a block of %q, want one of %q, which tests run", name, fence[1], languages)
			}
		}
	}
}

// TestBlocks_go builds and vets the Go in all documents: programs as they are,
// all else as the body of a function.
func TestBlocks_go(t *testing.T) {
	sources := map[string]string{}
	for name, text := range documents(t) {
		for _, block := range docstest.Go(t, name, text) {
			sources[fmt.Sprint("snippet", len(sources))] = wholeFile(block)
		}
	}
	if len(sources) < 15 {
		t.Errorf("got %d pieces of Go, want more", len(sources))
	}
	docstest.Tool(t, root, sources, "build", "-o", t.TempDir())
	docstest.Tool(t, root, sources, "vet")
}

// TestStatement_tables compiles what the tables offer in place of something else.
func TestStatement_tables(t *testing.T) {
	sources, found := map[string]string{}, 0
	for name, text := range documents(t) {
		var body strings.Builder
		for _, code := range docstest.Cells(text, false) {
			if regexp.MustCompile(`^With[A-Z]`).MatchString(code) {
				code = "ginsession." + code
			}
			if !regexp.MustCompile(`\bginsession\.|\bs\.[A-Z]`).MatchString(code) || strings.Contains(code, "redisstore.") { // that module has a test of its own
				continue
			}
			statement, ok := docstest.Statement(code)
			if !ok {
				t.Errorf("%s: got %s, which is no Go", name, code)
			}
			body.WriteString(statement + "\n")
			found++
		}
		sources[fmt.Sprint("lines", len(sources))] = wholeFile(body.String())
	}
	if found < 60 {
		t.Errorf("got %d pieces of Go, want more", found)
	}
	docstest.Tool(t, root, sources, "vet")
}

// TestBlocks_html shows a flash message with every piece of a template.
func TestBlocks_html(t *testing.T) {
	for name, text := range documents(t) {
		for _, block := range docstest.Blocks(text, "html") {
			a := apptest.New(t)
			a.SetHTMLTemplate(template.Must(template.New("page.html").Parse(block)))
			w := a.Play(apptest.NewBrowser(a), func(c *gin.Context) {
				ginsession.From(c).AddFlash("<Saved>", "success")
				c.HTML(200, "page.html", gin.H{"session": ginsession.From(c)})
			})
			if body := w.Body.String(); !strings.Contains(body, "&lt;Saved&gt;") || !strings.Contains(body, "success") {
				t.Errorf("%s: got %q of %q, want the message and its category", name, body, block)
			}
		}
	}
}

// missing skips a test without a program that it needs, or ends it in CI.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: make setup installs it", what)
	}
	t.Skipf("%s is missing: install it with make setup", what)
}

// TestBlocks_python runs the Python, on an app of its own.
func TestBlocks_python(t *testing.T) {
	pythons := []string{"python3", "/usr/bin/python3", "python"} // a package's may not be the first on PATH
	i := slices.IndexFunc(pythons, func(name string) bool {
		return exec.CommandContext(t.Context(), name, "-c", "import flask").Run() == nil
	})
	if i < 0 {
		missing(t, "a Python with Flask")
	}
	for name, text := range documents(t) {
		for _, block := range docstest.Blocks(text, "python") {
			if out, err := exec.CommandContext(t.Context(), pythons[i], "-c", "import flask\napp = flask.Flask('app')\n"+block).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

// TestBlocks_console starts the first program of README.md, repeats the session
// with curl, and wants the same output but for the date and what is encrypted.
func TestBlocks_console(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		missing(t, "curl")
	}
	stable := func(output string) string {
		output = strings.ReplaceAll(output, "\r\n", "\n")
		return regexp.MustCompile(`(?m)^Date: .*|__Host-session=[^;]*`).ReplaceAllString(output, "(not compared)")
	}
	dir, addr := t.TempDir(), freeAddr(t)
	readme := strings.ReplaceAll(read(t, "README.md"), "localhost:8080", addr)
	docstest.Tool(t, root, map[string]string{"app": docstest.Blocks(readme, "go")[0]}, "build", "-o", dir)
	startProgram(t, addr, filepath.Join(dir, "app"))
	for _, step := range strings.Split(docstest.Blocks(readme, "console")[0], "$ ")[1:] {
		command, want, _ := strings.Cut(step, "\n")
		args := strings.Fields(command)
		curl := exec.CommandContext(t.Context(), args[0], append([]string{"-sS"}, args[1:]...)...)
		curl.Dir = dir
		got, err := curl.CombinedOutput()
		if got, want := stable(string(got)), stable(want); got != want || err != nil {
			t.Errorf("%s: got %v and\n%s\nwant\n%s", command, err, got, want)
		}
	}
}

// TestBlocks_log wants the lines of the log that a document shows, but for the
// bytes.
func TestBlocks_log(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		noTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: noTime}))
		a := apptest.New(t, ginsession.WithLogger(logger))
		a.POST("/login", func(c *gin.Context) { ginsession.From(c).Renew(); ginsession.From(c).Set("user_id", 42) })
		b := apptest.NewBrowser(a)
		b.Post("/login")
		time.Sleep(31 * 24 * time.Hour)
		b.Get("/?do=keys")
		bytes, found := regexp.MustCompile(`bytes=\d+`), 0
		for name, text := range documents(t) {
			for _, block := range docstest.Blocks(text, "text") {
				if !strings.HasPrefix(block, "level=") {
					continue
				}
				found++
				if got, want := bytes.ReplaceAllString(out.String(), ""), bytes.ReplaceAllString(block, ""); got != want {
					t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
				}
			}
		}
		if found == 0 {
			t.Error("got no block of a log, want one")
		}
	})
}

// TestLinks wants a file or a heading behind every link that does not leave the
// repository, and the files that the prose names.
func TestLinks(t *testing.T) {
	for name, text := range documents(t) {
		docstest.CheckLinks(t, filepath.Join(root, name))
		for _, match := range regexp.MustCompile("`((?:docs|cmd|scripts|testdata|internal|_example)/[\\w./]*)`").FindAllStringSubmatch(text, -1) {
			if !exists(match[1]) {
				t.Errorf("%s: got %s, which does not exist", name, match[1])
			}
		}
	}
}

// TestBlocks_commands wants a function that every "go test -run", -fuzz and
// -bench runs, a folder behind every go -C, and a rule behind every make.
func TestBlocks_commands(t *testing.T) {
	functions, rules, found := testFunctions(t), read(t, "Makefile"), 0
	all := func(text, pattern string) [][]string {
		return regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	}
	for page, text := range documents(t) {
		for _, command := range all(text, "(?:cd [^ `]+ && )?go test [^`\n]*") {
			found++
			checkCommand(t, page, command[0], functions)
		}
		for _, match := range all(text, `go (?:run|test) -C ([^ ]+)|ginsession/ginsession/(cmd/[a-z]+)@`) {
			if !exists(match[1] + match[2]) {
				t.Errorf("%s: got %s, which does not exist", page, match[0])
			}
		}
		for _, target := range all(text, "(?m)(?:`|^)make ([a-z]+)") {
			if found++; !regexp.MustCompile(`(?m)^` + target[1] + `:`).MatchString(rules) {
				t.Errorf("%s: there is no make %s", page, target[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("got %d commands, want more", found)
	}
}

// TestCells_faults wants a line in docs/MIGRATION.md for each fault that is shown.
func TestCells_faults(t *testing.T) {
	_, faults, _ := strings.Cut(read(t, "docs/MIGRATION.md"), "\n## What stops going wrong\n")
	faults, _, _ = strings.Cut(faults, "\n## ")
	lines := len(regexp.MustCompile(`(?m)^\|`).FindAllString(faults, -1)) - 2 // the head
	tests := 0
	for _, names := range testFunctions(t) {
		tests += len(slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, "TestFault_") }))
	}
	if lines != tests || lines < 1 {
		t.Errorf("got %d lines and %d tests, want as many", lines, tests)
	}
}

// checkCommand wants each pattern of a go test to match a function of the
// packages that it names.
func checkCommand(t *testing.T, page, command string, functions map[string][]string) {
	t.Helper()
	packages, patterns := readCommand(command)
	var names []string
	top, below := strings.CutSuffix(packages, "...")
	for dir, some := range functions {
		if dir == packages || below && strings.HasPrefix(dir+"/", strings.TrimPrefix(top, "./")) {
			names = append(names, some...)
		}
	}
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

// readCommand returns where a go test looks and for what.
func readCommand(command string) (packages string, patterns []string) {
	module, packages := ".", "."
	before, after, _ := strings.Cut(strings.ReplaceAll(command, `\|`, "|"), "go test") // in a table
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

// testFunctions returns the names of all test functions by directory.
func testFunctions(t *testing.T) map[string][]string {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	functions := map[string][]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && len(path) > 1 && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			for _, match := range declaration.FindAllStringSubmatch(read(t, path), -1) {
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

// wholeFile makes a file of a snippet.
func wholeFile(block string) string {
	if strings.HasPrefix(block, "package ") {
		return block
	}
	known := []string{"cmp", "context", "crypto/sha256", "errors", "fmt", "html/template", "log", "net/http", "net/http/httptest", "net/http/httputil",
		"net/url", "os", "strings", "testing", "time", "github.com/ginsession/ginsession/memstore", "github.com/ginsession/ginsession/sessiontest"}
	imports := []string{"github.com/gin-gonic/gin", "github.com/ginsession/ginsession"}
	for _, path := range known {
		if regexp.MustCompile(`\b` + filepath.Base(path) + `\.[A-Z]`).MatchString(around + block) {
			imports = append(imports, path)
		}
	}
	return "package snippet\nimport (\n\"" + strings.Join(imports, "\"\n\"") + "\"\n)\n" + around + "{\n" + block + "}\n}\n"
}

// around is what the text around the snippets takes for granted.
const around = `
type (
	T    = string
	Line struct { Article string; Count int }
)

func _(r *gin.Engine, c *gin.Context, s *ginsession.Session, secret, newSecret, oldSecret string,
	store ginsession.Store, d time.Duration, checkPassword func(name, password string) (id int, ok bool),
	loggedOutEverywhere func(ctx context.Context, userID int) (time.Time, error),
	keepMoment func(userID int, moment time.Time), t *testing.T) {
`

// startProgram runs a program until the test ends, and returns when it answers.
func startProgram(t *testing.T, addr, program string) {
	t.Helper()
	var log bytes.Buffer
	server := exec.CommandContext(t.Context(), program)
	server.Env = append(os.Environ(), "SESSION_SECRET="+apptest.Secret)
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Wait() }) // the test's context has killed it
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v\n%s", program, err, &log)
		}
	}
}

// freeAddr is an address on localhost, by this name: curl sends Secure cookies
// over http to nobody else.
func freeAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("localhost", port)
}
