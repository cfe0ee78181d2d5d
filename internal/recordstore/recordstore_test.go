package recordstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
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

// site is an app on a store of its own, and a browser that is logged in there.
type site struct {
	*apptest.App
	store *apptest.Store
	user  *apptest.Browser
}

const cookieName = "__Host-session"

func newSite(t *testing.T, opts ...ginsession.Option) *site {
	t.Helper()
	s := &site{store: apptest.NewStore()}
	s.App = apptest.New(t, append(opts, ginsession.WithStore(s.store))...)
	s.user = apptest.NewBrowser(s)
	if w := s.user.Get("/?do=set:user=ann"); w.Code != http.StatusOK || len(s.store.IDs()) != 1 {
		t.Fatalf("log-in: got %d and the records %q, want 200 and one", w.Code, s.store.IDs())
	}
	return s
}

// bubble runs every row in a bubble of testing/synctest, so that whatever the
// library waits for passes at once.
func bubble[R any](t *testing.T, rows []R, name func(R) string, run func(*testing.T, R)) {
	for _, row := range rows {
		t.Run(name(row), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { run(t, row) }) })
	}
}

// sees returns what a copy of the browser's cookie opens, as "k=v" lines. The
// browser keeps what it has.
func sees(b *apptest.Browser) []string { return b.Clone().Get("/?do=keys").Lines() }

func wantSees(t *testing.T, who string, b *apptest.Browser, want ...string) {
	t.Helper()
	if got := sees(b); !slices.Equal(got, want) {
		t.Errorf("%s: got the session %q, want %q", who, got, want)
	}
}

// wantDropped fails unless the response stands, sets no cookie, and c.Errors has
// one error, which says that the changes were dropped.
func wantDropped(t *testing.T, w *apptest.Response) {
	t.Helper()
	if w.Code != http.StatusOK || len(w.SetCookies(cookieName)) != 0 {
		t.Errorf("got %d and the cookies %q, want 200 and none", w.Code, w.SetCookies(cookieName))
	}
	if len(w.Errors) != 1 || !errors.Is(w.Errors[0], ginsession.ErrUnknown) {
		t.Errorf("c.Errors: got %v, want one ErrUnknown", w.Errors)
	}
}

// wantUnavailable fails unless the response is an error page without a cookie.
func wantUnavailable(t *testing.T, w *apptest.Response) {
	t.Helper()
	if w.Code != http.StatusServiceUnavailable || len(w.SetCookies(cookieName)) != 0 {
		t.Errorf("got %d and the cookies %q, want 503 and none", w.Code, w.SetCookies(cookieName))
	}
	if len(w.Errors) != 1 || !errors.Is(w.Errors[0], ginsession.ErrUnavailable) {
		t.Errorf("c.Errors: got %v, want one ErrUnavailable", w.Errors)
	}
}

// TestStorage_panics: what a store that panics holds is unknown, also if the
// handler catches the panic and goes on.
func TestStorage_panics(t *testing.T) {
	rows := []struct {
		op   string
		user bool // the browser is logged in
		use  func(s *ginsession.Session)
	}{
		{"load", true, func(s *ginsession.Session) { s.Get("user") }},
		{"load", true, func(s *ginsession.Session) { s.Set("a", 1) }},
		{"save", true, func(s *ginsession.Session) { s.Set("a", 1); _ = s.Save() }},
		{"save", false, func(s *ginsession.Session) { s.Set("a", 1); _ = s.Save() }},
		{"save", true, func(s *ginsession.Session) { s.Renew(); _ = s.Save() }},
	}
	for _, row := range rows {
		t.Run(row.op, func(t *testing.T) {
			s := newSite(t)
			s.GET("/panic", func(c *gin.Context) {
				session := ginsession.From(c)
				func() {
					defer func() { _ = recover() }()
					row.use(session)
				}()
				session.Set("b", 1)
				c.String(http.StatusOK, "saved")
			})
			browser := s.user
			if !row.user {
				browser = apptest.NewBrowser(s)
			}
			s.store.HookOnce(func(c apptest.Call) bool { return c.Op == row.op }, apptest.Fault{Panic: "the driver is broken"})
			w := browser.Get("/panic")
			wantUnavailable(t, w)
			if w.Body.String() == "saved" {
				t.Error("got the handler's page")
			}
			wantSees(t, "the user", s.user, "user=ann")
		})
	}
}

// TestStorage_panicsInsideRecovery mounts Recovery between the middleware and the
// handler.
func TestStorage_panicsInsideRecovery(t *testing.T) {
	for _, op := range []string{"load", "save"} {
		store := apptest.NewStore()
		after := func(c *gin.Context) { c.Next(); ginsession.From(c).Set("after", 1) }
		a := apptest.Mount(apptest.Middleware(t, apptest.Secret, ginsession.WithStore(store)), after,
			gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(http.StatusInternalServerError) }))
		user := apptest.NewBrowser(a)
		user.Get("/?do=set:user=ann")
		store.HookOnce(func(c apptest.Call) bool { return c.Op == op }, apptest.Fault{Panic: "the driver is broken"})
		wantUnavailable(t, user.Get("/?do=set:a=1,save"))
		wantSees(t, op, user, "after=1", "user=ann")
	}
}

// late keeps records for an hour longer than it should.
type late struct{ *apptest.Store }

func (l late) Save(ctx context.Context, id string, r ginsession.Record) error {
	r.Expires = r.Expires.Add(time.Hour)
	return l.Store.Save(ctx, id, r)
}

// TestStorage_Load_expired refuses a record that outlives its session.
func TestStorage_Load_expired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := apptest.New(t, ginsession.WithStore(late{apptest.NewStore()}), ginsession.WithLifetime(time.Hour))
		b := apptest.NewBrowser(a)
		b.Get("/?do=set:user=ann")
		time.Sleep(time.Hour - time.Nanosecond)
		wantSees(t, "a moment before", b, "user=ann")
		time.Sleep(time.Nanosecond)
		wantSees(t, "on the dot", b)
		if err := a.Session.Rejected(); !errors.Is(err, ginsession.ErrExpired) {
			t.Errorf("got %v, want ErrExpired", err)
		}
	})
}

// TestStorage_Load_forged looks nothing up for cookies that are not genuine. A
// genuine id without a record, which anyone with the secret can make, gives no
// session.
func TestStorage_Load_forged(t *testing.T) {
	s := newSite(t)
	genuine := s.user.Cookies()[0].Value
	elsewhere := newSite(t).user.Cookies()[0].Value
	rows := []struct {
		name, value string
		loads       int
		want        error
	}{
		{"empty", "", 0, ginsession.ErrInvalid},
		{"short", "x", 0, ginsession.ErrInvalid},
		{"of the right length", strings.Repeat("A", len(genuine)), 0, ginsession.ErrInvalid},
		{"not base64", strings.Repeat("=", len(genuine)), 0, ginsession.ErrInvalid},
		{"long", strings.Repeat("A", 5000), 0, ginsession.ErrInvalid},
		{"one bit", string(genuine[0]^1) + genuine[1:], 0, ginsession.ErrInvalid},
		{"without a record", elsewhere, 1, ginsession.ErrUnknown},
		{"genuine", genuine, 1, nil},
	}
	for _, row := range rows {
		before := s.store.Calls("load")
		req := httptest.NewRequest(http.MethodGet, "/?do=keys", nil)
		req.AddCookie(&http.Cookie{Name: cookieName, Value: row.value})
		w := apptest.NewBrowser(s).Send(req)
		if err := s.Session.Rejected(); !errors.Is(err, row.want) || (err == nil) != (w.Body.Len() > 0) || s.store.Calls("load")-before != row.loads {
			t.Errorf("%s: got %v, %q and %d loads, want %v and %d", row.name, err, w.Body, s.store.Calls("load")-before, row.want, row.loads)
		}
	}
}

// TestStorage_Load_foreignRecord puts other bytes in the place of a record: the
// cookie counts as forged, a write begins a session under a new id, and the
// record is left alone.
func TestStorage_Load_foreignRecord(t *testing.T) {
	for name, change := range map[string]func(own, other []byte) []byte{
		"another session's": func(_, other []byte) []byte { return other },
		"empty":             func([]byte, []byte) []byte { return nil },
		"in the clear":      func([]byte, []byte) []byte { return []byte("user=eve") },
		"a byte changed":    func(own, _ []byte) []byte { own[len(own)/2] ^= 1; return own },
	} {
		s := newSite(t)
		id := s.store.IDs()[0]
		own, err := s.store.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		apptest.NewBrowser(s).Get("/?do=set:user=eve")
		ids := slices.DeleteFunc(s.store.IDs(), func(other string) bool { return other == id })
		other, err := s.store.Load(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		own.Data = change(own.Data, other.Data)
		if err := s.store.Save(t.Context(), id, own); err != nil {
			t.Fatal(err)
		}
		w := s.user.Get("/?do=keys,set:a=1")
		if err := s.Session.Rejected(); w.Code != http.StatusOK || w.Body.Len() != 0 || !errors.Is(err, ginsession.ErrInvalid) || len(s.store.IDs()) != 3 {
			t.Errorf("%s: got %d, %q, %v and %d records, want nothing, ErrInvalid and 3", name, w.Code, w.Body, err, len(s.store.IDs()))
		}
		if left, err := s.store.Load(t.Context(), id); err != nil || !bytes.Equal(left.Data, own.Data) {
			t.Errorf("%s: the record is not as it was: %v", name, err)
		}
	}
}

// TestStorage_sealing opens an id and a record with nothing but what
// docs/SECURITY-MODEL.md says about them. Of 500 ids, each bit is set in about
// half.
func TestStorage_sealing(t *testing.T) {
	const n, from, to = 500, 183, 317 // 6 standard deviations
	s := newSite(t)
	var records map[string][]byte
	s.store.Hook(func(c apptest.Call) apptest.Fault {
		records = map[string][]byte{c.ID: c.Record.Data}
		return apptest.Fault{}
	})
	ids, bits := map[string]bool{}, [128]int{}
	for range n {
		b := apptest.NewBrowser(s)
		b.Get("/?do=set:user=ann")
		box, err := base64.RawURLEncoding.DecodeString(b.Cookies()[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		id := apptest.Unseal(t, box, "ginsession id 1", cookieName)
		if id = id[:len(id)-1]; len(id) != 16 || ids[string(id)] { // the last byte says whether the cookie is permanent
			t.Fatalf("got an id of %d bytes, seen before: %v", len(id), ids[string(id)])
		}
		sum := sha256.Sum256(id)
		record := records[base64.RawURLEncoding.EncodeToString(sum[:])]
		if content := apptest.Unseal(t, record, "ginsession record 1", cookieName, string(id)); !strings.Contains(string(content), "ann") {
			t.Fatalf("the record holds %q", content)
		}
		ids[string(id)] = true
		for bit := range bits {
			bits[bit] += int(id[bit/8]>>(bit%8)) & 1
		}
	}
	for bit, times := range bits {
		if times < from || times > to {
			t.Errorf("bit %d is set in %d of %d ids", bit, times, n)
		}
	}
}
