package response_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

const cookieName = "sid"

// storages are where a session can live. A record on a server needs a cookie
// only for a new id.
var storages = []struct {
	name   string
	server bool
	opts   func() []ginsession.Option
}{
	{"cookie", false, func() []ginsession.Option { return nil }},
	{"flask", false, func() []ginsession.Option { return []ginsession.Option{ginsession.WithFlaskCookie()} }},
	{"store", true, func() []ginsession.Option { return []ginsession.Option{ginsession.WithStore(apptest.NewStore())} }},
}

func newApp(t *testing.T, opts ...ginsession.Option) *apptest.App {
	t.Helper()
	return apptest.New(t, append(opts, ginsession.WithName(cookieName))...)
}

func logIn(t *testing.T, b *apptest.Browser) {
	t.Helper()
	if w := b.Get("/?do=set:user=ann"); w.Code != http.StatusOK || len(b.Cookies()) != 1 {
		t.Fatalf("log-in: got %d and the cookies %v", w.Code, b.Cookies())
	}
}

func sees(b *apptest.Browser) []string { return b.Clone().Get("/?do=keys").Lines() }

// TestHandleContext_destroyed logs out and hands the request on to another page.
func TestHandleContext_destroyed(t *testing.T) {
	rows := []struct {
		name, then string
		body       []string
		after      []string // what the browser's session holds
	}{
		{"untouched", "write:page", []string{"page"}, nil},
		{"read", "keys,write:page", []string{"page"}, nil},
		{"destroyed again", "destroy,write:page", []string{"page"}, nil},
		{"set", "keys,set:a=1,write:page", []string{"page"}, []string{"a=1"}},
		{"no body", "get:user", nil, nil},
	}
	for _, storage := range storages {
		for _, row := range rows {
			t.Run(storage.name+" "+row.name, func(t *testing.T) {
				b := apptest.NewBrowser(newApp(t, storage.opts()...))
				logIn(t, b)
				copied := b.Clone()
				w := b.Get("/?do=destroy,handle:/then&then=" + row.then)
				if w.Code != http.StatusOK || w.Errors != nil || !slices.Equal(w.Lines(), row.body) {
					t.Errorf("got %d, %v and %q, want 200, no errors and %q", w.Code, w.Errors, w.Lines(), row.body)
				}
				if lines := w.SetCookies(cookieName); len(lines) != 1 {
					t.Errorf("got the cookies %q, want one", lines)
				}
				if got := sees(b); !slices.Equal(got, row.after) {
					t.Errorf("the browser's session: got %q, want %q", got, row.after)
				}
				if got := sees(copied); storage.server && len(got) != 0 {
					t.Errorf("a copy of the old cookie: got %q, want nothing", got)
				}
			})
		}
	}
}

// TestHandleContext_saved saves and hands the request on: the second pass sees
// it, and may go on from there.
func TestHandleContext_saved(t *testing.T) {
	rows := []struct {
		name, do, then string
		body, after    []string
	}{
		{"read", "set:a=1,save", "keys", []string{"a=1"}, []string{"a=1"}},
		{"untouched", "set:a=1,save", "write:page", []string{"page"}, []string{"a=1"}},
		{"set", "set:a=1,save", "keys,set:b=1", []string{"a=1"}, []string{"a=1", "b=1"}},
		{"saved again", "set:a=1,save", "keys,set:b=1,save,set:c=1", []string{"a=1"}, []string{"a=1", "b=1", "c=1"}},
		{"renewed", "set:a=1,save", "keys,renew", []string{"a=1"}, []string{"a=1"}},
		{"renewed and saved", "set:a=1,renew,save", "keys,set:b=1", []string{"a=1"}, []string{"a=1", "b=1"}},
		{"destroyed", "set:a=1,save", "keys,destroy", []string{"a=1"}, nil},
	}
	for _, storage := range storages {
		for _, row := range rows {
			for _, user := range []bool{false, true} {
				t.Run(fmt.Sprint(storage.name, " ", row.name, " logged in ", user), func(t *testing.T) {
					b := apptest.NewBrowser(newApp(t, storage.opts()...))
					body, after := slices.Clone(row.body), slices.Clone(row.after)
					if user {
						logIn(t, b)
						if after != nil {
							after = append(after, "user=ann")
						}
						if strings.HasPrefix(row.then, "keys") {
							body = append(body, "user=ann")
						}
					}
					w := b.Get("/?do=" + row.do + ",handle:/then&then=" + row.then)
					if w.Code != http.StatusOK || w.Errors != nil || !slices.Equal(w.Lines(), body) {
						t.Errorf("got %d, %v and %q, want 200, no errors and %q", w.Code, w.Errors, w.Lines(), body)
					}
					known := storage.server && user && !strings.Contains(row.do+row.then, "renew") && row.after != nil
					none := known || !user && row.after == nil // the browser needs no cookie
					if lines := w.SetCookies(cookieName); len(lines) > 1 || len(lines) == 0 && !none {
						t.Errorf("got the cookies %q, want one", lines)
					}
					if got := sees(b); !slices.Equal(got, after) {
						t.Errorf("the browser's session: got %q, want %q", got, after)
					}
				})
			}
		}
	}
}

// TestHandleContext_unsaved: a change of the first pass is either kept or
// reported, once.
func TestHandleContext_unsaved(t *testing.T) {
	for _, storage := range storages {
		for _, then := range []string{"write:page", "keys,write:page", "set:b=1,write:page", "get:b"} {
			t.Run(storage.name+" "+then, func(t *testing.T) {
				b := apptest.NewBrowser(newApp(t, storage.opts()...))
				w := b.Get("/?do=set:a=1,handle:/then&then=" + then)
				kept := slices.Contains(sees(b), "a=1")
				if kept && w.Errors != nil || !kept && len(w.Errors) != 1 {
					t.Errorf("kept: %v, c.Errors: %v, want it kept or one error", kept, w.Errors)
				}
				if lines := w.SetCookies(cookieName); len(lines) > 1 {
					t.Errorf("got the cookies %q, want at most one", lines)
				}
			})
		}
	}
}

// TestHandleContext_failed: one page, and one error in c.Errors, where the
// second pass cannot save.
func TestHandleContext_failed(t *testing.T) {
	for _, do := range []string{"get:user", "set:a=1,save", "write:", "destroy"} {
		store := apptest.NewStore()
		a := newApp(t, ginsession.WithStore(store))
		b := apptest.NewBrowser(a)
		logIn(t, b)
		a.GET("/down", func(c *gin.Context) {
			store.Hook(func(call apptest.Call) apptest.Fault {
				if call.Op == "save" {
					return apptest.Fault{Before: apptest.ErrStore}
				}
				return apptest.Fault{}
			})
			ginsession.From(c).Set("b", 1)
			c.String(http.StatusOK, "saved")
		})
		w := b.Get("/?do=" + do + ",handle:/down")
		store.Hook(nil)
		if got := w.Body.String(); w.Code != http.StatusServiceUnavailable || strings.Count(got, "Unavailable") != 1 || strings.Contains(got, "saved") {
			t.Errorf("%s: got %d and %q, want one page with 503", do, w.Code, got)
		}
		if len(w.Errors) != 1 || !errors.Is(w.Errors[0], ginsession.ErrUnavailable) {
			t.Errorf("%s: got %v, want one ErrUnavailable", do, w.Errors)
		}
		if lines := w.SetCookies(cookieName); len(lines) > 1 {
			t.Errorf("%s: got the cookies %q, want at most one", do, lines)
		}
	}
}

// TestHijack upgrades a connection as gorilla/websocket does, which writes the
// response itself and never asks for the headers, and as coder/websocket does,
// which sends them.
func TestHijack(t *testing.T) {
	set := func(s *ginsession.Session, _ *gin.Context) { s.Set("a", 1) }
	save := func(s *ginsession.Session, c *gin.Context) {
		s.Set("a", 1)
		_ = s.Save()
		_ = c.Writer.Header()
	}
	send := func(s *ginsession.Session, c *gin.Context) {
		s.Set("a", 1)
		c.Header("Upgrade", "test")
		c.Writer.WriteHeader(http.StatusSwitchingProtocols)
		c.Writer.WriteHeaderNow()
	}
	rows := []struct {
		name    string
		storage int // in storages
		user    bool
		use     func(*ginsession.Session, *gin.Context)
		late    bool
	}{
		{"cookie, set", 0, false, set, true},
		{"cookie, set, logged in", 0, true, set, true},
		{"flask, set", 1, false, set, true},
		{"store, set", 2, false, set, true},
		{"store, set, logged in", 2, true, set, false},
		{"cookie, renew", 0, true, func(s *ginsession.Session, _ *gin.Context) { s.Renew() }, true},
		{"store, renew", 2, true, func(s *ginsession.Session, _ *gin.Context) { s.Renew() }, true},
		{"cookie, destroy", 0, true, func(s *ginsession.Session, _ *gin.Context) { s.Destroy() }, true},
		{"cookie, saved, headers asked for", 0, false, save, false},
		{"store, saved, headers asked for", 2, false, save, false},
		{"cookie, headers sent", 0, false, send, false},
		{"store, headers sent", 2, false, send, false},
		{"cookie, read", 0, true, func(s *ginsession.Session, _ *gin.Context) { s.Get("user") }, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			errs := make(chan []*gin.Error, 1)
			watch := func(c *gin.Context) {
				if c.Next(); c.FullPath() == "/ws" {
					errs <- c.Errors
				}
			}
			opts := append(storages[row.storage].opts(), ginsession.WithName(cookieName))
			a := apptest.Mount(watch, apptest.Middleware(t, apptest.Secret, opts...))
			a.GET("/ws", func(c *gin.Context) {
				row.use(ginsession.From(c), c)
				if err := hijack(c.Writer); err != nil {
					t.Error(err)
				}
			})
			b := apptest.NewBrowser(a)
			if row.user {
				logIn(t, b)
			}
			upgrade(t, a, b.Cookies())
			got := <-errs
			late := len(got) == 1 && errors.Is(got[0], ginsession.ErrLate)
			if late != row.late || !row.late && len(got) != 0 {
				t.Errorf("c.Errors: got %v, want one ErrLate: %v", got, row.late)
			}
		})
	}
}

// hijack answers an upgrade in the handler's stead, unless the headers have
// been sent.
func hijack(w gin.ResponseWriter) error {
	sent := w.Written()
	conn, buf, err := w.Hijack()
	if err != nil {
		return fmt.Errorf("hijack: %w", err)
	}
	defer conn.Close()
	if !sent {
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n")
	}
	return buf.Flush()
}

// upgrade asks for an upgrade and reads until the server closes.
func upgrade(t *testing.T, h http.Handler, cookies []*http.Cookie) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	req, err := http.NewRequest(http.MethodGet, srv.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "test")
	for _, k := range cookies {
		req.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
	}
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v and %v, want 101", resp, err)
	}
	_, _ = io.Copy(io.Discard, conn)
}

// TestSave_touchesNoHeader: Save leaves the headers alone, so that any
// goroutine may call it; the next look at them finds its cookie.
func TestSave_touchesNoHeader(t *testing.T) {
	for _, storage := range storages {
		a := newApp(t, storage.opts()...)
		var before, after []string
		a.GET("/save", func(c *gin.Context) {
			h := c.Writer.Header()
			done := make(chan error)
			go func(c *gin.Context) {
				s := ginsession.From(c)
				s.Set("a", "1")
				done <- s.Save()
			}(c.Copy())
			if err := <-done; err != nil {
				t.Error(err)
			}
			before = slices.Clone(h["Set-Cookie"])
			after = slices.Clone(c.Writer.Header()["Set-Cookie"])
			c.Status(http.StatusNoContent)
		})
		b := apptest.NewBrowser(a)
		w := b.Get("/save")
		if len(before) != 0 || len(after) != 1 || !slices.Equal(w.SetCookies(cookieName), after) {
			t.Errorf("%s: got %q before the headers were asked for, %q then, and sent %q, want none, one, the same",
				storage.name, before, after, w.SetCookies(cookieName))
		}
		if got, want := sees(b), []string{"a=1"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", storage.name, got, want)
		}
	}
}

// TestSave_inGoroutine saves while the handler writes headers. The race
// detector sees a Save that writes them, too.
func TestSave_inGoroutine(t *testing.T) {
	for _, storage := range storages {
		a := newApp(t, storage.opts()...)
		a.GET("/save", func(c *gin.Context) {
			done := make(chan error)
			go func(c *gin.Context) {
				s := ginsession.From(c)
				for i := range 100 {
					s.Set("a", i)
					if err := s.Save(); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}(c.Copy())
			for i := range 1000 {
				c.Header(fmt.Sprint("X-", i%10), "1")
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			c.String(http.StatusOK, "done")
		})
		b := apptest.NewBrowser(a)
		w := b.Get("/save")
		if got := w.SetCookies(cookieName); w.Code != http.StatusOK || len(got) != 1 {
			t.Errorf("%s: got %d and the cookies %q, want 200 and one", storage.name, w.Code, got)
		}
		if got, want := sees(b), []string{"a=99"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", storage.name, got, want)
		}
	}
}

// TestFlashes_atTheEndOfALongPage shows the flashes at the end of a page of
// 200 KiB: the response is held back that long, so they are shown once.
func TestFlashes_atTheEndOfALongPage(t *testing.T) {
	for _, storage := range storages {
		a := newApp(t, storage.opts()...)
		a.GET("/page", func(c *gin.Context) {
			line := strings.Repeat("x", 1023) + "\n"
			for range 200 {
				_, _ = c.Writer.WriteString(line)
			}
			for _, f := range ginsession.From(c).Flashes() {
				_, _ = fmt.Fprintf(c.Writer, "flash %v\n", f.Message)
			}
		})
		b := apptest.NewBrowser(a)
		b.Get("/?do=set:user=ann,flash:saved")
		for i, want := range []int{1, 0} {
			w := b.Get("/page")
			if got := strings.Count(w.Body.String(), "flash saved"); got != want || w.Errors != nil {
				t.Errorf("%s, page %d: got the flash %d times and %v, want %d times and no errors", storage.name, i+1, got, w.Errors, want)
			}
		}
		if got, want := sees(b), []string{"user=ann"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", storage.name, got, want)
		}
	}
}
