package gincontrib_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ginsession/ginsession/internal/docstest"
)

// TestTester runs the tests that gin-contrib/sessions has for its stores, on the
// bridge: a copy in which the lines that build the middleware are changed. One
// cannot pass, see README.md: it wants a cookie without a Path, because Options
// did not name one, and is to fail at nothing else.
func TestTester(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/gin-contrib/sessions/tester")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	source := docstest.Read(t, filepath.Join(strings.TrimSpace(string(out)), "tester.go"))
	sameSite := docstest.Read(t, filepath.Join(strings.TrimSpace(string(out)), "tester_options_samesite_go1.11.go"))
	mount := regexp.MustCompile(`r\.Use\(sessions\.(Sessions|SessionsMany)\((.*)\)\)`)
	if got := len(mount.FindAllString(source, -1)); got != 6 {
		t.Errorf("got %d lines that build the middleware, want 6", got)
	}
	files := map[string]string{
		"tester.go":      mount.ReplaceAllString(source, "r.Use(on$1($2)...)"),
		"same_site.go":   strings.Replace(sameSite, "func testOptionSameSitego(", "func sameSite(", 1),
		"bridge.go":      testerBridge,
		"bridge_test.go": testerCalls,
	}

	// The copy is a package below this one: a module of its own would need a go.sum.
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), map[string]string{}
	for name, text := range files {
		replace[filepath.Join(here, "tester", name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "tester.exe")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", program, "-overlay", filepath.Join(dir, "overlay.json"), "./tester")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, _ = exec.CommandContext(t.Context(), program, "-test.v").CombinedOutput()
	if got := strings.Count(string(out), "--- PASS"); got != 5 {
		t.Errorf("got %d tests that passed, want 5:\n%s", got, out)
	}
	const withoutPath = `(?s)Error writing path with options: Path=/\n--- FAIL: TestOptions .*Error writing samesite with options: Path=/\n--- FAIL: TestSameSite `
	if !regexp.MustCompile(withoutPath).Match(out) || strings.Count(string(out), "--- FAIL") != 2 {
		t.Errorf("want two failures, for the Path:\n%s", out)
	}
}

const testerBridge = `package tester

import (
	"testing"

	"github.com/gin-contrib/sessions"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/gincontrib"
)

const secret = "a secret of the tests, 32 bytes or more"

func onSessions(string, sessions.Store) []gin.HandlerFunc {
	return []gin.HandlerFunc{ginsession.Must(ginsession.New(secret)), gincontrib.Bridge()}
}

func onSessionsMany(names []string, _ sessions.Store) (all []gin.HandlerFunc) {
	for _, name := range names {
		all = append(all, ginsession.Must(ginsession.New(secret, ginsession.WithName(name), ginsession.WithContextKey(name))))
	}
	return append(all, gincontrib.Bridge(names...))
}

func testOptionSameSitego(*testing.T, *gin.Engine) {} // see TestSameSite
`

const testerCalls = `package tester

import (
	"testing"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"
)

func newStore(*testing.T) sessions.Store { return cookie.NewStore([]byte("secret")) }

func TestGetSet(t *testing.T)    { GetSet(t, newStore) }
func TestDeleteKey(t *testing.T) { DeleteKey(t, newStore) }
func TestFlashes(t *testing.T)   { Flashes(t, newStore) }
func TestClear(t *testing.T)     { Clear(t, newStore) }
func TestMany(t *testing.T)      { Many(t, newStore) }
func TestOptions(t *testing.T)   { Options(t, newStore) }

func TestSameSite(t *testing.T) {
	r := gin.New()
	r.Use(onSessions("", nil)...)
	sameSite(t, r)
}
`
