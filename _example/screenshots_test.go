package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestScreenshots takes pictures of the pages, by day and by night and in two
// widths, for people to look at:
//
//	SCREENSHOTS=/tmp/pictures go test -run Screenshots .
//
// demo.png is in docs/img.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("SCREENSHOTS is not set: it names the directory for the pictures")
	}
	b := startBrowser(t, testApp(t))
	for _, look := range []struct {
		suffix, scheme string
		width, height  int64
	}{
		{"", "light", 1280, 800},
		{"-mobile", "light", 390, 844},
		{"-dark", "dark", 1280, 800},
		{"-mobile-dark", "dark", 390, 844},
	} {
		u := b.newTab(t)
		u.do(chromedp.EmulateViewport(look.width, look.height), prefer(look.scheme))
		picture := func(name string) {
			t.Helper()
			if wide := evaluate[int64](u, "document.documentElement.scrollWidth"); wide > look.width {
				t.Errorf("%s%s: got a page %d pixels wide, want %d", name, look.suffix, wide, look.width)
			}
			shot := chromedp.FullScreenshot(100)
			if name == "demo" { // for the README: what a window shows
				shot = chromedp.CaptureScreenshot()
			}
			png := ask(u, shot)
			if err := os.WriteFile(filepath.Join(dir, name+look.suffix+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		pictures(u, picture)
	}
}

// pictures walks through the app and fills the session on the way.
func pictures(u *tab, picture func(name string)) {
	u.open("/")
	picture("stranger")
	u.do(chromedp.Navigate(u.url + "/nowhere"))
	picture("not-found")
	u.open("/login")
	picture("login")
	u.fill("#name", "Ada")
	u.fill("#password", "ab")
	u.follow("main form button")
	picture("login-refused")
	u.click("#remember")
	u.login("Ada")
	picture("demo")
	u.open("/account")
	picture("account")

	u.open("/todo")
	for _, text := range []string{"Water the juniper", "Read the paper on session fixation", "Buy limes"} {
		u.fill("#text", text)
		u.follow(".row button")
	}
	u.follow(".list .tick")
	picture("todo")

	u.open("/cart")
	picture("cart-empty")
	for _, n := range []string{"1", "1", "3"} {
		u.follow(".shop li:nth-child(" + n + ") button")
	}
	picture("cart")
	u.open("/checkout")
	u.fill("#name", "Ada")
	u.fill("#email", "nowhere")
	u.follow("main form button")
	picture("checkout")

	u.open("/wage")
	picture("wage")
	u.fill("#wage", "12.5")
	u.follow("main form button")
	u.fill("#hours", "10")
	u.follow("main form button")
	picture("pay")

	u.open("/parallel")
	u.click("#fire")
	u.wait("#fire:disabled", "#fire:enabled")
	picture("parallel")
	u.open("/session")
	picture("session")
}

func prefer(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}
