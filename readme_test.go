package ginsession_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/docstest"
)

// TestReadme_curl starts the first program of README.md, repeats the session
// with curl, and wants the same output but for the date and what is encrypted.
func TestReadme_curl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("curl is missing: make test installs it")
		}
		t.Skip("curl is missing: install it with make test or apt-get install curl")
	}
	dir, addr := t.TempDir(), freeAddr(t)
	program := strings.ReplaceAll(docstest.Blocks(readText(t, "README.md"), "go")[0], "localhost:8080", addr)
	goTool(t, map[string]string{"app": program}, "build", "-o", dir)
	startProgram(t, addr, filepath.Join(dir, "app"))

	for _, step := range strings.Split(docstest.Blocks(readText(t, "README.md"), "console")[0], "$ ")[1:] {
		command, want, _ := strings.Cut(step, "\n")
		args := strings.Fields(strings.ReplaceAll(command, "localhost:8080", addr))
		curl := exec.CommandContext(t.Context(), args[0], append([]string{"-sS"}, args[1:]...)...)
		curl.Dir = dir
		got, err := curl.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if got, want := stable(string(got)), stable(want); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", command, got, want)
		}
	}
}

// TestReadme_log wants the lines that README.md shows, but for the bytes.
func TestReadme_log(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt, lines := logTo()
		r := newEngine(t, opt)
		r.POST("/login", func(c *gin.Context) {
			s := ginsession.From(c)
			s.Renew()
			s.Set("user_id", 42)
		})
		r.GET("/", func(c *gin.Context) { ginsession.From(c).Keys() })
		k := do(t, r, "POST", "/login").Result().Cookies()
		time.Sleep(31 * 24 * time.Hour)
		do(t, r, "GET", "/", k...)
		bytes := regexp.MustCompile(`bytes=\d+`)
		got := bytes.ReplaceAllString(strings.Join(lines(), "\n")+"\n", "")
		want := bytes.ReplaceAllString(docstest.Blocks(readText(t, "README.md"), "text")[0], "")
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// stable leaves out of curl's output what differs each time.
func stable(output string) string {
	output = strings.ReplaceAll(output, "\r\n", "\n")
	return regexp.MustCompile(`(?m)^Date: .*|__Host-session=[^;]*`).ReplaceAllString(output, "(not compared)")
}

// wholeFile makes a file of a snippet.
func wholeFile(block string) string {
	if strings.HasPrefix(block, "package ") {
		return block
	}
	known := []string{"context", "crypto/sha256", "errors", "fmt", "html/template", "log", "net/http", "net/http/httptest", "net/http/httputil",
		"net/url", "os", "testing", "time", "github.com/ginsession/ginsession/sessiontest"}
	imports := []string{"github.com/gin-gonic/gin", "github.com/ginsession/ginsession"}
	for _, path := range known {
		if regexp.MustCompile(`\b` + filepath.Base(path) + `\.[A-Z]`).MatchString(around + block) {
			imports = append(imports, path)
		}
	}
	var b strings.Builder
	b.WriteString("package snippet\n")
	for _, path := range imports {
		fmt.Fprintf(&b, "import %q\n", path)
	}
	return b.String() + around + block + "}\n"
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

// goTool runs a subcommand of go on packages in a module of their own, which
// requires this one.
func goTool(t *testing.T, sources map[string]string, args ...string) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const this = "github.com/ginsession/ginsession"
	mod := strings.Replace(readText(t, "go.mod"), "module "+this, "module readme", 1)
	writeText(t, filepath.Join(dir, "go.mod"), fmt.Sprintf("%s\nrequire %s v0.0.0\nreplace %[2]s => %q\n", mod, this, root))
	writeText(t, filepath.Join(dir, "go.sum"), readText(t, "go.sum"))
	for name, source := range sources {
		writeText(t, filepath.Join(dir, name, "main.go"), source)
	}
	tool := exec.CommandContext(t.Context(), "go", append(args, "./...")...)
	tool.Dir = dir
	if out, err := tool.CombinedOutput(); err != nil {
		t.Errorf("go %s: %v\n%s", args[0], err, out)
	}
}

// startProgram runs a program until the test ends, and returns when it answers.
func startProgram(t *testing.T, addr, program string) {
	t.Helper()
	var log bytes.Buffer
	server := exec.CommandContext(t.Context(), program)
	server.Env = append(os.Environ(), "SESSION_SECRET="+secret)
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Wait() }) // the test's context has killed it
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", program, err)
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

func readText(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
