package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TestBrowser uses the app as a user does. Each test below it is a user of
// their own.
func TestBrowser(t *testing.T) {
	b := startBrowser(t, testApp(t))
	for _, test := range []struct {
		name string
		run  func(*testing.T, *browser)
	}{
		{"login", testBrowserLogin},
		{"cookie", testBrowserCookie},
		{"remember", testBrowserRemember},
		{"two users", testBrowserTwoUsers},
		{"back button", testBrowserBackButton},
		{"pay", testBrowserPay},
		{"parallel", testBrowserParallel},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
}

func testBrowserLogin(t *testing.T, b *browser) {
	u := b.newTab(t)
	u.open("/login")
	u.login("Ada")
	u.shows("h1", "Hello, Ada")
	u.shows(".flash.success", "Welcome back, Ada")
	u.shows(".lead", "first visit")

	u.navigate(chromedp.Reload())
	u.shows("h1", "Hello, Ada")
	u.shows(".lead", "2 times")
	u.lacks(".flash")
}

func testBrowserCookie(t *testing.T, b *browser) {
	u := b.newTab(t)
	u.open("/login")
	u.login("Ada")
	c := u.cookie()
	if !c.HTTPOnly || !c.Secure || !c.Session || c.Path != "/" || c.Domain != "localhost" ||
		c.SameSite != network.CookieSameSiteLax {
		c.Value = "hidden"
		t.Errorf("got %+v, want a host-only session cookie that is Secure, HttpOnly and SameSite=Lax", c)
	}
	if seen := evaluate[string](u, "document.cookie"); seen != "" {
		t.Error("a script in the page can read the cookie")
	}
}

func testBrowserRemember(t *testing.T, b *browser) {
	u := b.newTab(t)
	u.open("/login")
	u.click("#remember")
	u.login("Ada")
	u.shows(".lead", "remembers you")
	c := u.cookie()
	days := time.Until(time.Unix(int64(c.Expires), 0)).Hours() / 24
	if c.Session || math.Abs(days-30) > 0.1 {
		t.Errorf("got a cookie for %.1f days (session: %v), want 30", days, c.Session)
	}
}

func testBrowserTwoUsers(t *testing.T, b *browser) {
	ada, bob := b.newTab(t), b.newTab(t)
	ada.open("/login")
	ada.login("Ada")
	bob.open("/")
	bob.shows("h1", "Hello, stranger")
	bob.open("/login")
	bob.login("Bob")
	bob.shows("h1", "Hello, Bob")
	ada.open("/")
	ada.shows("h1", "Hello, Ada")
}

func testBrowserBackButton(t *testing.T, b *browser) {
	u := b.newTab(t)
	u.open("/login")
	u.login("Ada")
	u.open("/todo")
	u.back("/")
	u.shows("h1", "Hello, Ada") // perhaps with the flash: the very page that was left
	u.navigate(chromedp.Reload())
	u.lacks(".flash")

	u.open("/todo")
	u.follow(".who button")
	u.shows("h1", "Hello, stranger")
	u.shows(".flash.success", "You are logged out")
	u.back("/todo")
	u.shows("h1", "To-do")
	u.shows(".who", "Log in")
	if body := u.text("body"); strings.Contains(body, "Ada") {
		t.Errorf("the back button shows who was logged in: %q", body)
	}
}

func testBrowserPay(t *testing.T, b *browser) {
	u := b.newTab(t)
	u.open("/wage")
	u.fill("#wage", "12.5")
	u.follow("main form button")
	u.fill("#hours", "10")
	u.follow("main form button")
	u.shows(".figures", "125")
	u.shows(".figures", "6500")
}

// parallelRounds is how often the page with the encrypted cookie has to show
// that nothing is lost.
const parallelRounds = 50

func testBrowserParallel(t *testing.T, b *browser) {
	u := b.newTab(t)
	u.open("/parallel")
	for i := range parallelRounds {
		u.click("#fire")
		u.wait("#fire:disabled", "#fire:enabled")
		if n := evaluate[int](u, "document.querySelectorAll('#cells .kept').length"); n != parallelRequests {
			t.Errorf("round %d: got %d keys, want %d", i+1, n, parallelRequests)
		}
	}
	u.shows("#outcome", "All 20 keys survived")
	u.navigate(chromedp.Reload())
	u.shows("#outcome", "20 of 20 keys are in the session")
	u.follow("form[action='/parallel/reset'] button")
	u.shows("#outcome", "None of the keys")
}

// browser is a running Chromium and the app for it to visit.
type browser struct {
	url string
	ctx context.Context
}

// startBrowser starts Chromium with a fresh profile. It goes with the test.
func startBrowser(t *testing.T, app http.Handler) *browser {
	t.Helper()
	program := findBrowser(t)
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // t.Context ends before the cleanup
	t.Cleanup(cancel)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.UserDataDir(newProfile(t)),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
	)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel) // waits for the process to end
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	// Browsers take Secure cookies over plain http from this name only.
	return &browser{strings.Replace(server.URL, "127.0.0.1", "localhost", 1), ctx}
}

// newProfile makes a directory that may outlive the test: on Windows, what is
// still open cannot be removed.
func newProfile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func findBrowser(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "google-chrome", "chromium-browser",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
		filepath.Join(os.Getenv("ProgramFiles"), "Google", "Chrome", "Application", "chrome.exe")}
	if name := os.Getenv("CHROME"); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	need(t, "this test needs a browser: apt install chromium, or CHROME=/path/to/chrome; looked for "+strings.Join(names, ", "))
	return ""
}

// tab is a window of a user of its own: it shares no cookies with others.
type tab struct {
	t   *testing.T
	url string
	ctx context.Context
}

func (b *browser) newTab(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // opens the tab, which lasts as long as this context
		t.Fatal(err)
	}
	u := &tab{t, b.url, ctx}
	u.do(chromedp.EmulateViewport(1280, 900))
	return u
}

// limit bounds one step, so that a test that waits for what never comes says
// where.
const limit = 10 * time.Second

func (u *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.ctx, limit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		u.t.Fatal(err)
	}
}

func ask[T any](u *tab, action chromedp.Action[T]) T {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.ctx, limit)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		u.t.Fatal(err)
	}
	return v
}

func evaluate[T any](u *tab, script string) T {
	u.t.Helper()
	return ask(u, chromedp.Evaluate[T](script))
}

// navigate takes a step that leads to another page and waits for it.
func (u *tab) navigate(step chromedp.Action[chromedp.Void]) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.ctx, limit)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, step)
	if err != nil {
		u.t.Fatal(err)
	}
	if response != nil && response.Status != 200 {
		u.t.Fatalf("%s: got status %d, want 200", response.URL, response.Status)
	}
}

func (u *tab) open(path string) { u.t.Helper(); u.navigate(chromedp.Navigate(u.url + path)) }

// back presses the button. A page that the browser has kept as it was never
// loads, so the way to tell is where we are.
func (u *tab) back(to string) {
	u.t.Helper()
	evaluate[any](u, "setTimeout(() => history.back())")
	there := fmt.Sprintf("location.pathname === %q && document.readyState === 'complete'", to)
	for deadline := time.Now().Add(limit); !evaluate[bool](u, there); {
		if time.Now().After(deadline) {
			u.t.Fatalf("the back button does not lead to %s", to)
		}
	}
}

func (u *tab) click(selector string) { u.t.Helper(); u.do(chromedp.Click(chromedp.CSS(selector))) }

func (u *tab) follow(selector string) {
	u.t.Helper()
	u.navigate(chromedp.Click(chromedp.CSS(selector)))
}

func (u *tab) fill(selector, text string) {
	u.t.Helper()
	u.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// login fills in the form of the page that is open.
func (u *tab) login(name string) {
	u.t.Helper()
	u.fill("#name", name)
	u.fill("#password", "open sesame")
	u.follow("main form button")
}

// text is that of the first match, or "". It asks by script: chromedp's own
// queries wait for a load that a page from the browser's back cache never has.
func (u *tab) text(selector string) string {
	u.t.Helper()
	return evaluate[string](u, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

func (u *tab) shows(selector, want string) {
	u.t.Helper()
	if got := u.text(selector); !strings.Contains(got, want) {
		u.t.Errorf("%s: got %q, want %q in it", selector, got, want)
	}
}

func (u *tab) lacks(selector string) {
	u.t.Helper()
	if n := evaluate[int](u, fmt.Sprintf("document.querySelectorAll(%q).length", selector)); n != 0 {
		u.t.Errorf("got %d of %s, want none", n, selector)
	}
}

// wait waits for these, one after the other.
func (u *tab) wait(selectors ...string) {
	u.t.Helper()
	for _, selector := range selectors {
		u.do(chromedp.WaitReady(chromedp.CSS(selector)))
	}
}

// cookie is the session's cookie as the browser keeps it. There must be one.
func (u *tab) cookie() *network.Cookie {
	u.t.Helper()
	result := ask(u, func(ctx context.Context, t *chromedp.Target) (network.GetCookiesResult, error) {
		return cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
	})
	if len(result.Cookies) != 1 || result.Cookies[0].Name != cookieName {
		u.t.Fatalf("got %d cookies, want one, %s", len(result.Cookies), cookieName)
	}
	return result.Cookies[0]
}
