package txn_test

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// TestTxn_Save: an error that Save returned is the handler's, and its response
// stands, unless the session changes again.
func TestTxn_Save(t *testing.T) {
	nothing := func(*ginsession.Session) {}
	bad := func(s *ginsession.Session) { s.Set("bad", make(chan int)) }
	big := func(s *ginsession.Session) { s.Set("big", strings.Repeat("x", 5000)) }
	good := func(s *ginsession.Session) { s.Set("a", "1") }
	rows := []struct {
		name        string
		fail, after func(*ginsession.Session)
		want        error
		code        int
		kept        []string
	}{
		{"too large", big, nothing, ginsession.ErrTooLarge, 200, nil},
		{"too large, read", big, func(s *ginsession.Session) { s.Len() }, ginsession.ErrTooLarge, 200, nil},
		{"too large, changed", big, good, ginsession.ErrTooLarge, 500, nil},
		{"too large, undone", big, func(s *ginsession.Session) { s.Delete("big"); good(s) }, ginsession.ErrTooLarge, 200, []string{"a=1"}},
		{"bad value", bad, nothing, ginsession.ErrValue, 200, nil},
		{"bad value, changed", bad, good, ginsession.ErrValue, 200, []string{"a=1"}},
		{"bad value twice", bad, bad, ginsession.ErrValue, 500, nil},
	}
	for _, row := range rows {
		for _, flush := range []bool{false, true} {
			told := 0
			a, b := newApp(t, ginsession.WithErrorHandler(func(*gin.Context, error) { told++ }))
			w := a.Play(b, func(c *gin.Context) {
				s := ginsession.From(c)
				row.fail(s)
				if err := s.Save(); !errors.Is(err, row.want) {
					t.Errorf("%s: got %v, want %v", row.name, err, row.want)
				}
				c.String(200, "mine")
				if row.after(s); flush {
					c.Writer.Flush()
				}
			})
			failed := row.code != 200
			if w.Code != row.code || (w.Body.String() == "mine") == failed || (told == 1) != failed || (len(w.Errors) == 1) != failed {
				t.Errorf("%s: got %d %q, told %d times, %v, want %d", row.name, w.Code, w.Body, told, w.Errors, row.code)
			}
			if got := sees(b); !slices.Equal(got, row.kept) {
				t.Errorf("%s: got %q, want %q", row.name, got, row.kept)
			}
		}
	}
}

// TestTxn_Save_refused: a session that the store has refused has no ID, and can
// still be saved.
func TestTxn_Save_refused(t *testing.T) {
	store := apptest.NewStore()
	store.SetLimit(4000)
	a, b := newApp(t, ginsession.WithStore(store))
	a.Play(b, func(c *gin.Context) {
		s := ginsession.From(c)
		s.Set("big", strings.Repeat("x", 5000))
		if err := s.Save(); !errors.Is(err, ginsession.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
		s.Delete("big")
		nothing := s.Save()
		if s.Set("a", 1); nothing != nil || s.ID() != "" {
			t.Errorf("before it is stored: got %v and ID %q, want nil and none", nothing, s.ID())
		}
		if err := s.Save(); err != nil || s.ID() == "" {
			t.Errorf("stored: got %v and ID %q, want nil and one", err, s.ID())
		}
	})
}

// TestTxn_Finish_late changes a session when the headers have left, or when the
// request is over: a cookie is too late, and the session says so at once. To read
// is no error.
func TestTxn_Finish_late(t *testing.T) {
	rows := []struct {
		name    string
		handler gin.HandlerFunc
	}{
		{"flushed", func(c *gin.Context) { c.Writer.Flush() }},
		{"returned", func(*gin.Context) {}},
		{"panicked", func(*gin.Context) { panic("x") }},
		{"failed", func(c *gin.Context) { ginsession.From(c).Set("bad", make(chan int)) }},
	}
	for _, row := range rows {
		var w *apptest.Response
		var s *ginsession.Session
		late := func() {
			lines := 0
			if w != nil {
				lines = len(w.Header())
			}
			s.Len()
			if row.name != "failed" && (s.Err() != nil || s.Save() != nil) {
				t.Errorf("%s, read: got %v, want nil", row.name, s.Err())
			}
			_ = s.Save() // what is left of a bad value
			s.Set("user", "ann")
			if row.name != "failed" && !errors.Is(s.Err(), ginsession.ErrLate) {
				t.Errorf("%s: got %v at once, want ErrLate", row.name, s.Err())
			}
			if err := s.Save(); !errors.Is(err, ginsession.ErrLate) {
				t.Errorf("%s: got %v, want ErrLate", row.name, err)
			}
			if w != nil && len(w.Header()) != lines {
				t.Errorf("%s: got the headers %v, want them left alone", row.name, w.Header())
			}
		}
		a := apptest.Mount(gin.CustomRecoveryWithWriter(nil, func(*gin.Context, any) {}), apptest.Middleware(t, apptest.Secret))
		w = a.Play(apptest.NewBrowser(a), func(c *gin.Context) {
			s = ginsession.From(c.Copy())
			if row.handler(c); row.name == "flushed" {
				late()
			}
		})
		if row.name != "flushed" {
			late()
		} else if w.Errors != nil {
			t.Errorf("flushed: got %v, want no errors: the caller has it", w.Errors)
		}
		if got := w.Header()["Set-Cookie"]; len(got) != 0 {
			t.Errorf("%s: got %q, want no cookie", row.name, got)
		}
	}
}

// TestTxn_Save_thenPanic: what Save has saved is kept, and what came after it is
// not.
func TestTxn_Save_thenPanic(t *testing.T) {
	for _, storage := range storages {
		opts := append(storage.opts(), ginsession.WithName(cookieName))
		a := apptest.Mount(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }), apptest.Middleware(t, apptest.Secret, opts...))
		b := apptest.NewBrowser(a)
		w := a.Play(b, inTurn(save, func(c *gin.Context) { ginsession.From(c).Set("user", "bob"); panic("x") }))
		if w.Code != 500 || w.Header().Get("Cache-Control") != "no-store" || !slices.Equal(sees(b), []string{"user=ann"}) {
			t.Errorf("%s: got %d, %v and %q, want 500, no-store and user=ann", storage.name, w.Code, w.Header(), sees(b))
		}
	}
}

// TestTxn_RefreshDue: an idle timeout that is taken out of the options ends no
// session that is used.
func TestTxn_RefreshDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := apptest.NewStore()
		_, b := newApp(t, ginsession.WithStore(store), ginsession.WithIdleTimeout(time.Hour))
		b.Get("/?do=set:a=1")
		b.Handler, _ = newApp(t, ginsession.WithStore(store))
		for range 5 {
			time.Sleep(50 * time.Minute)
			if got := b.Get("/?do=get:a").Lines(); !slices.Equal(got, []string{"1"}) {
				t.Fatalf("got %q, want 1", got)
			}
		}
	})
}

// TestTxn_RefreshDue_tooLarge: a permanent session in Flask's form is sent with
// every response; a cookie that has grown too large for that is no reason to fail
// a page.
func TestTxn_RefreshDue_tooLarge(t *testing.T) {
	_, b := newApp(t, ginsession.WithFlaskCookie())
	noise, r := "", rand.New(rand.NewPCG(1, 2))
	for range 5000 { // not to be compressed
		noise += string(rune('a' + r.IntN(26)))
	}
	for code := 0; code != 200; noise = noise[20:] {
		code = b.Get("/?do=permanent:true,set:a=" + noise).Code
	}
	b.Handler, _ = newApp(t, ginsession.WithFlaskCookie(), ginsession.WithPath(strings.Repeat("/x", 50)))
	for _, words := range []string{"", "get:none"} {
		if w := b.Get("/?do=" + words); w.Code != 200 || w.Errors != nil || len(w.SetCookies(cookieName)) != 0 {
			t.Errorf("%q: got %d, %v and %q, want 200, no errors and no cookie", words, w.Code, w.Errors, w.SetCookies(cookieName))
		}
	}
	if w := b.Get("/?do=set:b=1"); w.Code != 500 {
		t.Errorf("a change: got %d, want 500: this test proves nothing", w.Code)
	}
}

// TestTxn_Hold upgrades a connection as gorilla/websocket does, which writes the
// response itself and never asks for the headers, as handlers do that pass the
// headers on, and as coder/websocket does, which sends them.
func TestTxn_Hold(t *testing.T) {
	words := func(change func(*ginsession.Session)) func(*gin.Context) http.Header {
		return func(c *gin.Context) http.Header { change(ginsession.From(c)); return nil }
	}
	set := words(func(s *ginsession.Session) { s.Set("a", 1) })
	renew := words((*ginsession.Session).Renew)
	ask := func(c *gin.Context) http.Header { set(c); return c.Writer.Header() }
	save := func(c *gin.Context) http.Header { set(c); _ = ginsession.From(c).Save(); return c.Writer.Header() }
	send := func(c *gin.Context) http.Header {
		set(c)
		c.Header("Upgrade", "test")
		c.Writer.WriteHeader(http.StatusSwitchingProtocols)
		c.Writer.WriteHeaderNow()
		return nil
	}
	rows := []struct {
		name    string
		storage int // in storages
		user    bool
		use     func(*gin.Context) http.Header // the headers, if it asks for them
		late    bool
	}{
		{"cookie, set", 0, false, set, true},
		{"cookie, set, logged in", 0, true, set, true},
		{"flask, set", 1, false, set, true},
		{"store, set", 2, false, set, true},
		{"store, set, logged in", 2, true, set, false},
		{"cookie, renew", 0, true, renew, true},
		{"store, renew", 2, true, renew, true},
		{"cookie, destroy", 0, true, words((*ginsession.Session).Destroy), true},
		{"cookie, headers asked for", 0, false, ask, false},
		{"store, headers asked for", 2, false, ask, false},
		{"cookie, headers asked for afterwards", 0, false, set, false},
		{"cookie, saved, headers asked for", 0, false, save, false},
		{"store, saved, headers asked for", 2, false, save, false},
		{"cookie, headers sent", 0, false, send, false},
		{"store, headers sent", 2, false, send, false},
		{"cookie, read", 0, true, words(func(s *ginsession.Session) { s.Get("user") }), false},
		{"cookie, unused", 0, true, words(func(*ginsession.Session) {}), false},
	}
	for _, row := range rows {
		errs := make(chan []*gin.Error, 1)
		watch := func(c *gin.Context) {
			if c.Next(); c.FullPath() == "/ws" {
				errs <- c.Errors
			}
		}
		a := apptest.Mount(watch, apptest.Middleware(t, apptest.Secret, append(storages[row.storage].opts(), ginsession.WithName(cookieName))...))
		a.GET("/ws", func(c *gin.Context) {
			h, err := row.use(c), hijack(c.Writer)
			if strings.HasSuffix(row.name, "afterwards") {
				h = c.Writer.Header()
			}
			if err != nil || h != nil && len(h["Set-Cookie"]) != 1 {
				t.Errorf("%s: got %v and the headers %v, want nil and a cookie", row.name, err, h)
			}
		})
		b := apptest.NewBrowser(a)
		if row.user {
			b.Get("/?do=set:user=ann")
		}
		upgrade(t, a, b.Cookies())
		got := <-errs
		late := len(got) == 1 && errors.Is(got[0], ginsession.ErrLate)
		if late != row.late || !row.late && len(got) != 0 {
			t.Errorf("%s: got %v, want one ErrLate: %v", row.name, got, row.late)
		}
	}
}

// hijack answers an upgrade in the handler's stead, unless the headers have
// been sent.
func hijack(w gin.ResponseWriter) error {
	sent := w.Written()
	conn, buf, err := w.Hijack()
	if err != nil {
		return err
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
	req := httptest.NewRequest(http.MethodGet, "/ws", nil)
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
