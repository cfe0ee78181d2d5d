package txn_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

// TestTxn_Finish_fails has commits fail: what the page is told, what the browser
// gets, and whether the storage is asked again once the session has changed.
func TestTxn_Finish_fails(t *testing.T) {
	const nowhere, stored = txn.Nowhere, txn.Stored
	unavailable, tooLarge := sessionerr.ErrUnavailable, sessionerr.ErrTooLarge
	tests := []struct {
		name   string
		origin txn.Origin
		place  txn.Place
		intent txn.Intent
		late   bool
		fails  error
		want   error
		sent   string
		again  bool
	}{
		{"save, unknown outcome", txn.Loaded, stored, txn.Save, false, unavailable, unavailable, "", false},
		{"save, too large", txn.Loaded, stored, txn.Save, false, tooLarge, tooLarge, "", true},
		{"save, too large, late", txn.Loaded, stored, txn.Save, true, tooLarge, tooLarge, "", true},
		{"renew, unknown outcome", txn.Loaded, stored, txn.Renew, false, unavailable, unavailable, "", false},
		{"renew, too large", txn.Loaded, stored, txn.Renew, false, tooLarge, tooLarge, "", true},
		{"destroy, unknown outcome", txn.Loaded, stored, txn.Destroy, false, unavailable, unavailable, "sid=", false},
		{"destroy, too large", txn.Loaded, stored, txn.Destroy, false, tooLarge, tooLarge, "sid=", true},
		{"destroy, unknown outcome, late", txn.Loaded, stored, txn.Destroy, true, unavailable, unavailable, "", false},
		{"destroy of nothing", txn.Fresh, nowhere, txn.Destroy, false, unavailable, unavailable, "", false},
		{"destroy of an imported one", txn.Imported, nowhere, txn.Destroy, false, unavailable, unavailable, "old=", false},
		{"import, too large", txn.Imported, nowhere, txn.Save, false, tooLarge, tooLarge, "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, h := &storage{}, http.Header{}
			x := bring(newConfig(s), s, test.origin, test.place, h)
			intend(x, test.intent)
			x.Set("changed", "1")
			if test.late {
				x.Close()
			}
			s.fails = test.fails
			if err := x.Finish(h); !errors.Is(err, test.want) || !errors.Is(x.Err(), test.want) {
				t.Errorf("got %v and Err %v, want %v", err, x.Err(), test.want)
			}
			if err := x.Finish(h); err != nil {
				t.Errorf("asked again without a change: got %v, want nil", err)
			}
			if x.Headers(h); sent(h) != test.sent {
				t.Errorf("got the cookies %q, want %q", sent(h), test.sent)
			}
			s.fails = nil
			before := len(s.calls)
			x.Set("again", "1")
			if err := x.Save(); (err == nil) != test.again || len(s.calls) > before != test.again {
				t.Errorf("after a change: got %v and %d calls, want it saved: %v", err, len(s.calls)-before, test.again)
			}
		})
	}
}

// TestTxn_Finish_importTooLarge leaves a session in the imported cookie if ours
// has no room for it and the request has not changed it.
func TestTxn_Finish_importTooLarge(t *testing.T) {
	s, h := &storage{fails: sessionerr.ErrTooLarge}, http.Header{}
	x := load(newConfig(s), "old=ann")
	if err := x.Finish(h); err != nil || len(s.calls) != 1 {
		t.Errorf("got %v after %d calls, want nil after one", err, len(s.calls))
	}
	if x.Headers(h); sent(h) != "" {
		t.Errorf("got the cookies %q, want none", sent(h))
	}
}

// TestTxn_Finish_storedWithoutCookie keeps what a storage has stored although no
// cookie can be sent: it is not stored again.
func TestTxn_Finish_storedWithoutCookie(t *testing.T) {
	s := &storage{}
	x := load(newConfig(s), "sid=ann")
	x.Set("a", "1")
	x.Close()
	s.fails, s.stored = sessionerr.ErrTooLate, true
	if err := x.Save(); !errors.Is(err, sessionerr.ErrLate) {
		t.Errorf("got %v, want ErrLate", err)
	}
	if err := x.Save(); err != nil || len(s.calls) != 1 {
		t.Errorf("again: got %v after %d calls, want nil after one", err, len(s.calls))
	}
}

// TestTxn_Save_refused saves nothing if one change cannot be saved; the next
// Save has the others. A log-out goes on without it.
func TestTxn_Save_refused(t *testing.T) {
	s := &storage{}
	x := load(newConfig(s), "sid=ann")
	x.Set("a", "1")
	x.Refuse(sessionerr.ErrValue)
	if err := x.Save(); !errors.Is(err, sessionerr.ErrValue) || len(s.calls) != 0 {
		t.Errorf("got %v after %d calls, want ErrValue after none", err, len(s.calls))
	}
	if err := x.Save(); err != nil || len(s.calls) != 1 {
		t.Errorf("again: got %v after %d calls, want nil after one", err, len(s.calls))
	}
	x.Destroy()
	x.Set("b", "1")
	x.Refuse(sessionerr.ErrValue)
	if err := x.Save(); !errors.Is(err, sessionerr.ErrValue) || !slices.Equal(s.calls, []string{"change", "end"}) {
		t.Errorf("destroyed: got %v after %q, want ErrValue after change and end", err, s.calls)
	}
}

// TestTxn_RefreshDue asks whether the use of a session is to be noted.
func TestTxn_RefreshDue(t *testing.T) {
	const idle, lifetime = time.Hour, 10 * time.Hour
	tests := []struct {
		name          string
		idle, expires time.Duration // expires: in the record, from now
		created       time.Duration // from now
		want          bool
	}{
		{"just noted", idle, idle, 0, false},
		{"a quarter ago", idle, idle - idle/4, -time.Hour, true},
		{"nearly a quarter ago", idle, idle - idle/4 + time.Second, -time.Hour, false},
		{"the timeout was longer", idle, 3 * idle, 0, true},
		{"the lifetime ends soon", idle, time.Minute, time.Minute - lifetime, false},
		{"no timeout", 0, lifetime, 0, false},
		{"there was a timeout", 0, idle, 0, true},
		{"the lifetime was longer", 0, 2 * lifetime, 0, false},
	}
	for _, test := range tests {
		s := &storage{}
		c := newConfig(s)
		c.Lifetime, c.IdleTimeout = lifetime, test.idle
		x := load(c, "sid=ann")
		x.Content().Created, x.Content().Life = codec.InstantOf(time.Now().Add(test.created)), test.expires-test.created
		if got := x.RefreshDue(nil); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		if x.Close(); x.RefreshDue(nil) {
			t.Errorf("%s, late: got true, want false", test.name)
		}
	}
}

const sid = "sid"

// storages are where a session can live.
var storages = []struct {
	name string
	opts func() []ginsession.Option
}{
	{"cookie", func() []ginsession.Option { return nil }},
	{"flask", func() []ginsession.Option { return []ginsession.Option{ginsession.WithFlaskCookie()} }},
	{"store", func() []ginsession.Option { return []ginsession.Option{ginsession.WithStore(apptest.NewStore())} }},
}

func newBrowser(t *testing.T, opts ...ginsession.Option) (*apptest.App, *apptest.Browser) {
	t.Helper()
	a := apptest.New(t, append(opts, ginsession.WithName(sid))...)
	return a, apptest.NewBrowser(a)
}

// sees returns what a copy of the browser's cookies opens, as "k=v" lines.
func sees(b *apptest.Browser) []string { return b.Clone().Get("/?do=keys").Lines() }

func read(c *gin.Context) { ginsession.From(c).Len() }
func set(c *gin.Context)  { ginsession.From(c).Set("user", "ann") }
func save(c *gin.Context) { set(c); _ = ginsession.From(c).Save() }

func inTurn(handlers ...gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		for _, h := range handlers {
			h(c)
		}
	}
}

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
			a, b := newBrowser(t, ginsession.WithErrorHandler(func(*gin.Context, error) { told++ }))
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

// TestTxn_ID_refused: a session that the store has refused has no ID, and can
// still be saved.
func TestTxn_ID_refused(t *testing.T) {
	store := apptest.NewStore()
	store.SetLimit(4000)
	a, b := newBrowser(t, ginsession.WithStore(store))
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
		opts := append(storage.opts(), ginsession.WithName(sid))
		a := apptest.Mount(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }), apptest.Middleware(t, apptest.Secret, opts...))
		b := apptest.NewBrowser(a)
		w := a.Play(b, inTurn(save, func(c *gin.Context) { ginsession.From(c).Set("user", "bob"); panic("x") }))
		if w.Code != 500 || w.Header().Get("Cache-Control") != "no-store" || !slices.Equal(sees(b), []string{"user=ann"}) {
			t.Errorf("%s: got %d, %v and %q, want 500, no-store and user=ann", storage.name, w.Code, w.Header(), sees(b))
		}
	}
}

// TestTxn_RefreshDue_tooLarge: a permanent session in Flask's form is sent with
// every response; a cookie that has grown too large for that is no reason to fail
// a page.
func TestTxn_RefreshDue_tooLarge(t *testing.T) {
	_, b := newBrowser(t, ginsession.WithFlaskCookie())
	noise, r := "", rand.New(rand.NewPCG(1, 2))
	for range 5000 { // not to be compressed
		noise += string(rune('a' + r.IntN(26)))
	}
	for code := 0; code != 200; noise = noise[20:] {
		code = b.Get("/?do=permanent:true,set:a=" + noise).Code
	}
	b.Handler, _ = newBrowser(t, ginsession.WithFlaskCookie(), ginsession.WithPath(strings.Repeat("/x", 50)))
	for _, words := range []string{"", "get:none"} {
		if w := b.Get("/?do=" + words); w.Code != 200 || w.Errors != nil || len(w.SetCookies(sid)) != 0 {
			t.Errorf("%q: got %d, %v and %q, want 200, no errors and no cookie", words, w.Code, w.Errors, w.SetCookies(sid))
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
		if strings.HasSuffix(row.name, "sent") && strings.HasPrefix(gin.Version, "v1.11.") {
			continue // that gin refuses to hijack then
		}
		errs := make(chan []*gin.Error, 1)
		watch := func(c *gin.Context) {
			if c.Next(); c.FullPath() == "/ws" {
				errs <- c.Errors
			}
		}
		a := apptest.Mount(watch, apptest.Middleware(t, apptest.Secret, append(storages[row.storage].opts(), ginsession.WithName(sid))...))
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
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
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
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Fatal(err)
	}
}

// TestTxn_Clear: a session that was empty before it was made permanent is as it
// began.
func TestTxn_Clear(t *testing.T) {
	_, b := newBrowser(t)
	w := b.Get("/?do=permanent:true,clear,set:a=1")
	if got := w.SetCookies(sid); len(got) != 1 || strings.Contains(got[0], "Max-Age") || !slices.Equal(sees(b), []string{"a=1"}) {
		t.Errorf("got %q and %q, want one without Max-Age, and a=1", got, sees(b))
	}
}

func TestTxn_Headers_vary(t *testing.T) {
	vary := func(values ...string) gin.HandlerFunc {
		return func(c *gin.Context) { c.Writer.Header()["Vary"] = values }
	}
	rows := []struct {
		name   string
		handle gin.HandlerFunc
		want   string
	}{
		{"untouched", vary("Origin"), "[Origin]"},
		{"another after", inTurn(read, vary("Accept-Encoding")), "[Accept-Encoding Cookie]"},
		{"another after Save", inTurn(save, vary("Accept-Encoding")), "[Accept-Encoding Cookie]"},
		{"ours overwritten", inTurn(save, func(c *gin.Context) { c.Writer.Header()["Vary"][0] = "Origin" }, save), "[Origin Cookie]"},
		{"after Save", inTurn(save, read), "[Cookie]"},
		{"in a second line", inTurn(vary("Origin", "COOKIE"), read), "[Origin COOKIE]"},
	}
	for _, row := range rows {
		a, b := newBrowser(t)
		if got := fmt.Sprint(a.Play(b, row.handle).Result().Header["Vary"]); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

// TestTxn_Headers_setCookie: after each Save our line is among the headers once,
// and others that are there, or were kept, stay as they are.
func TestTxn_Headers_setCookie(t *testing.T) {
	for others := range 2 {
		a, b := newBrowser(t)
		w := a.Play(b, func(c *gin.Context) {
			s := ginsession.From(c)
			if others > 0 {
				c.SetCookie("other", "1", 0, "/", "", true, true)
			}
			var kept, copied []string
			for _, user := range []string{"ann", "ann", "bob"} {
				s.Set("user", user)
				if err := s.Save(); err != nil {
					t.Error(err)
				}
				lines := c.Writer.Header()["Set-Cookie"]
				if len(lines) != others+1 {
					t.Errorf("%s: got %q, want %d others and ours", user, lines, others)
				}
				if kept == nil {
					kept, copied = lines, slices.Clone(lines)
				}
			}
			if !slices.Equal(kept, copied) {
				t.Errorf("lines that somebody kept: got %q, want %q", kept, copied)
			}
			s.Set("user", "cleo")
		})
		if got := w.Result().Header["Set-Cookie"]; len(got) != others+1 || !slices.Equal(sees(b), []string{"user=cleo"}) {
			t.Errorf("got %q and %q, want %d others and ours, with user=cleo", got, sees(b), others)
		}
	}
	a, b := newBrowser(t)
	w := a.Play(b, inTurn(save, func(c *gin.Context) { c.Writer.Header().Del("Set-Cookie") }))
	if got := w.Header()["Set-Cookie"]; len(got) != 1 {
		t.Errorf("dropped by the handler: got %q, want ours", got)
	}
}

// TestTxn_Headers_goroutine: Save leaves the headers alone, so that any goroutine
// may call it; the next look at them finds its cookie. The race detector looks on.
func TestTxn_Headers_goroutine(t *testing.T) {
	for _, storage := range storages {
		a, b := newBrowser(t, storage.opts()...)
		var before, after []string
		w := a.Play(b, func(c *gin.Context) {
			h, done := c.Writer.Header(), make(chan error)
			go func(c *gin.Context) {
				s := ginsession.From(c)
				for i := range 100 {
					s.Set("a", i)
					if err := s.Save(); err != nil {
						t.Error(err)
					}
				}
				done <- nil
			}(c.Copy())
			for i := range 1000 {
				h[fmt.Sprint("X-", i%10)] = []string{"1"}
			}
			<-done
			before = slices.Clone(h["Set-Cookie"])
			after = slices.Clone(c.Writer.Header()["Set-Cookie"])
			c.Status(http.StatusNoContent)
		})
		if len(before) != 0 || len(after) != 1 || !slices.Equal(w.SetCookies(sid), after) {
			t.Errorf("%s: got %q before the headers were asked for, %q then, and sent %q, want none, one, the same",
				storage.name, before, after, w.SetCookies(sid))
		}
		if got := sees(b); !slices.Equal(got, []string{"a=99"}) {
			t.Errorf("%s: got %q, want a=99", storage.name, got)
		}
	}
}

// TestTxn_Headers_importOfOurName: if Flask's cookie and ours have one name,
// one line replaces both.
func TestTxn_Headers_importOfOurName(t *testing.T) {
	const flaskSecret = "the secret of the Flask app, long"
	for words, want := range map[string][]string{"set:user=bob": {"user=bob"}, "clear,save,set:user=bob,save": {"user=bob"}, "clear,save,set:user=bob,save,destroy": nil} {
		b := apptest.NewBrowser(apptest.Mount(apptest.Middleware(t, flaskSecret, ginsession.WithFlaskCookie())))
		b.Get("/?do=set:user=ann")
		b.Handler = apptest.New(t, ginsession.WithName("session"), ginsession.WithFlaskMigration(flaskSecret))
		if got := sees(b); !slices.Equal(got, []string{"user=ann"}) {
			t.Fatalf("got %q, want Flask's session", got)
		}
		if w := b.Get("/?do=" + words); len(w.SetCookies("session")) != 1 || !slices.Equal(sees(b), want) {
			t.Errorf("%s: got %q and %q, want one line, and %q", words, w.SetCookies("session"), sees(b), want)
		}
	}
}
