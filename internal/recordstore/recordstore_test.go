package recordstore_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/txn"
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

// TestRenew_tombstoneFails disturbs the save that puts the tombstone over the
// old record. The browser gets the new id only if the old record is known to
// bear the tombstone; there is never a second session that is good.
func TestRenew_tombstoneFails(t *testing.T) {
	before, lost := apptest.Fault{Before: apptest.ErrStore}, apptest.Fault{After: apptest.ErrStore}
	tombstone := apptest.Call.Overwrites
	type row struct {
		name    string
		hook    func(s *site) func(apptest.Call) apptest.Fault
		renewed bool
		old     []string // what the old cookie opens afterwards
	}
	rows := []row{
		{"one error", func(*site) func(apptest.Call) apptest.Fault { return first(1, tombstone, before) }, true, nil},
		{"one answer lost", func(*site) func(apptest.Call) apptest.Fault { return first(1, tombstone, lost) }, true, nil},
		{"an error, then an answer lost", func(*site) func(apptest.Call) apptest.Fault {
			return inOrder(tombstone, before, lost)
		}, true, nil},
		{"applied late, before the next look", func(s *site) func(apptest.Call) apptest.Fault {
			return lateUntil(s.store, func(c apptest.Call) bool { return c.Op == "load" })
		}, true, nil},
		{"applied late, before the next try", func(s *site) func(apptest.Call) apptest.Fault {
			return lateUntil(s.store, tombstone)
		}, true, nil},
		{"every error", func(*site) func(apptest.Call) apptest.Fault { return always(tombstone, before) }, false, []string{"user=ann"}},
		{"answer lost, and the store is silent", func(*site) func(apptest.Call) apptest.Fault {
			return thenSilent(tombstone, lost)
		}, false, nil},
		{"applied after the request, and the store is silent", func(*site) func(apptest.Call) apptest.Fault {
			return thenSilent(tombstone, apptest.Fault{Late: apptest.ErrStore})
		}, false, nil},
	}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		s := newSite(t)
		old, before := s.user.Clone(), s.store.IDs()
		s.store.Hook(row.hook(s))
		w := s.user.Get("/?do=renew,set:admin=yes")
		s.store.Hook(nil)
		s.store.ApplyLate()
		if row.renewed {
			if w.Code != http.StatusOK || len(w.SetCookies(cookieName)) != 1 || w.Errors != nil {
				t.Errorf("got %d, the cookies %q and %v, want 200, one and no errors", w.Code, w.SetCookies(cookieName), w.Errors)
			}
			wantSees(t, "new cookie", s.user, "admin=yes", "user=ann")
		} else {
			wantUnavailable(t, w)
			if got := s.store.IDs(); !slices.Equal(got, before) {
				t.Errorf("%d records are left, want only that at the old id: nobody holds the new one", len(got))
			}
		}
		wantSees(t, "old cookie", old, row.old...)
	})
}

// first disturbs the first n calls that match.
func first(n int32, match func(apptest.Call) bool, f apptest.Fault) func(apptest.Call) apptest.Fault {
	var seen atomic.Int32
	return func(c apptest.Call) apptest.Fault {
		if match(c) && seen.Add(1) <= n {
			return f
		}
		return apptest.Fault{}
	}
}

func always(match func(apptest.Call) bool, f apptest.Fault) func(apptest.Call) apptest.Fault {
	return first(1<<30, match, f)
}

func inOrder(match func(apptest.Call) bool, faults ...apptest.Fault) func(apptest.Call) apptest.Fault {
	return func(c apptest.Call) (f apptest.Fault) {
		if match(c) && len(faults) > 0 {
			f, faults = faults[0], faults[1:]
		}
		return f
	}
}

// lateUntil has the first tombstone arrive late, just before the next call that
// matches.
func lateUntil(store *apptest.Store, match func(apptest.Call) bool) func(apptest.Call) apptest.Fault {
	late := false
	return func(c apptest.Call) apptest.Fault {
		if c.Overwrites() && !late {
			late = true
			return apptest.Fault{Late: apptest.ErrStore}
		}
		if match(c) {
			store.ApplyLate()
		}
		return apptest.Fault{}
	}
}

// thenSilent disturbs the first call that matches, and from then on loads and
// saves fail; records can still be deleted.
func thenSilent(match func(apptest.Call) bool, f apptest.Fault) func(apptest.Call) apptest.Fault {
	silent := false
	return func(c apptest.Call) apptest.Fault {
		switch {
		case silent && c.Op != "delete":
			return apptest.Fault{Before: apptest.ErrStore}
		case match(c) && !silent:
			silent = true
			return f
		}
		return apptest.Fault{}
	}
}

// TestDestroy_endsTheSuccessor logs out with an id that was renewed before: the
// log-out ends the session that goes on under the new id.
func TestDestroy_endsTheSuccessor(t *testing.T) {
	type row struct {
		name     string
		renewals int
		slow     bool // the log-out has read the session before the renewals
		words    string
	}
	rows := []row{
		{"renewed meanwhile", 1, true, "destroy"},
		{"renewed twice meanwhile", 2, true, "destroy"},
		{"renewed meanwhile, and a flash", 1, true, "destroy,flash:bye"},
		{"renewed before", 1, false, "destroy"},
		{"renewed twice before", 2, false, "destroy"},
		{"renewed before, and a flash", 1, false, "destroy,flash:bye"},
	}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		s := newSite(t)
		old := s.user.Clone()
		renew := func() {
			for range row.renewals {
				if w := s.user.Get("/?do=renew"); w.Code != http.StatusOK || len(w.SetCookies(cookieName)) != 1 {
					t.Fatalf("renew: got %d and %q", w.Code, w.SetCookies(cookieName))
				}
			}
		}
		path := "/?do=" + row.words
		if row.slow {
			s.Meanwhile, path = renew, "/?do=get:user,meanwhile,"+row.words
		} else {
			renew()
		}
		if w := old.Get(path); w.Code != http.StatusOK || len(w.SetCookies(cookieName)) != 1 {
			t.Errorf("log-out: got %d and the cookies %q, want 200 and one", w.Code, w.SetCookies(cookieName))
		}
		wantSees(t, "the renewed session", s.user)
	})
}

// TestCommit_recordGone changes a session whose record is gone by then. Nothing
// begins in its place.
func TestCommit_recordGone(t *testing.T) {
	type row struct {
		name  string
		words string // with the moment at which the record goes
		gone  func(s *site)
	}
	logOut := func(s *site) { s.user.Clone().Get("/?do=destroy"); time.Sleep(66 * time.Second) }
	renew := func(s *site) { s.user.Clone().Get("/?do=renew"); time.Sleep(66 * time.Second) }
	evict := func(s *site) { s.store.Evict() }
	remove := func(s *site) {
		for _, id := range s.store.IDs() {
			_ = s.store.Delete(context.Background(), id)
		}
	}
	rows := []row{
		{"evicted", "get:user,meanwhile,set:a=1", evict},
		{"deleted", "get:user,meanwhile,set:a=1", remove},
		{"expired", "get:user,meanwhile,set:a=1", func(*site) { time.Sleep(2 * time.Hour) }},
		{"logged out, and its tombstone expired", "get:user,meanwhile,set:a=1", logOut},
		{"renewed, and its tombstone expired", "get:user,meanwhile,set:a=1", renew},
		{"evicted, update", "get:user,meanwhile,incr:n", evict},
		{"evicted, flash", "get:user,meanwhile,flash:hello", evict},
		{"evicted, permanent", "set:b=1,meanwhile,permanent:true", evict},
		{"logged out a minute before the first access", "meanwhile,set:a=1", logOut},
		{"renewed a minute before the first access", "meanwhile,get:user,set:a=1", renew},
		{"evicted a minute before the first access", "meanwhile,set:a=1", func(s *site) { s.store.Evict(); time.Sleep(66 * time.Second) }},
	}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		s := newSite(t, ginsession.WithLifetime(time.Hour))
		var left []string
		s.Meanwhile = func() { row.gone(s); left = s.store.IDs() }
		browser := s.user.Clone()
		w := browser.Get("/?do=" + row.words)
		wantDropped(t, w)
		if err := s.Session.Err(); !errors.Is(err, ginsession.ErrUnknown) {
			t.Errorf("Err: got %v, want ErrUnknown", err)
		}
		if got := s.store.IDs(); !slices.Equal(got, left) {
			t.Errorf("got %d records, want the %d that were there before", len(got), len(left))
		}
		wantSees(t, "the browser", browser)
	})
}

// TestCommit_recordGone_renew: a log-in is honoured where the session is gone,
// and starts from what its request changed.
func TestCommit_recordGone_renew(t *testing.T) {
	type row struct{ name, words string }
	rows := []row{
		{"at commit", "get:user,meanwhile,set:a=1,renew"},
		{"at load", "meanwhile,set:a=1,renew"},
		{"destroyed and set", "get:user,meanwhile,destroy,set:a=1"},
	}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		s := newSite(t)
		s.Meanwhile = func() { s.user.Clone().Get("/?do=destroy"); time.Sleep(66 * time.Second) }
		w := s.user.Get("/?do=" + row.words)
		if w.Code != http.StatusOK || len(w.SetCookies(cookieName)) != 1 || len(s.store.IDs()) != 1 {
			t.Errorf("got %d, the cookies %q and %d records, want 200, one and one", w.Code, w.SetCookies(cookieName), len(s.store.IDs()))
		}
		wantSees(t, "the log-in", s.user, "a=1")
	})
}

// TestSave_noRoomForTheOnlyMessage stores no session that would begin empty.
func TestSave_noRoomForTheOnlyMessage(t *testing.T) {
	store := apptest.NewStore()
	store.SetLimit(60)
	b := apptest.NewBrowser(apptest.New(t, ginsession.WithStore(store)))
	w := b.Get("/?do=flash:Welcome")
	if ids := store.IDs(); w.Code != http.StatusOK || len(ids) != 0 || len(b.Cookies()) != 0 {
		t.Errorf("got %d, the records %q and %d cookies, want 200 and none", w.Code, ids, len(b.Cookies()))
	}
}

// TestSave_droppedStaysDropped goes on after Save has reported that a change
// was dropped.
func TestSave_droppedStaysDropped(t *testing.T) {
	type row struct {
		name  string
		words string
		want  []string
	}
	rows := []row{
		{"met at commit, renew", "get:user,meanwhile,set:a=1,save,set:b=1,renew", []string{"b=1"}},
		{"met at load, renew", "meanwhile,set:a=1,save,set:b=1,renew", []string{"b=1"}},
		{"met at load, save twice", "meanwhile,set:a=1,save,set:b=1,save,set:c=1,renew", []string{"c=1"}},
		{"met at load, flash", "meanwhile,flash:one,set:a=1,save,renew,set:b=1", []string{"b=1"}},
		{"met at load, renew only", "meanwhile,set:a=1,save,renew", nil},
		{"met at load, nothing else", "meanwhile,set:a=1,save", nil},
	}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		s := newSite(t)
		s.Meanwhile = func() { s.user.Clone().Get("/?do=destroy") }
		w := s.user.Get("/?do=" + row.words)
		if lines := w.Lines(); w.Code != http.StatusOK || !slices.ContainsFunc(lines, isDropped) {
			t.Errorf("got %d and %q, want 200 and an error of Save", w.Code, lines)
		}
		wantSees(t, "the browser", s.user, row.want...)
		if got := s.user.Get("/?do=flashes").Lines(); len(got) != 0 {
			t.Errorf("got the flashes %q, want none", got)
		}
	})
}

func isDropped(line string) bool { return len(line) > 6 && line[:6] == "save: " }

// TestDestroy_afterDropped logs out in a request whose changes were dropped, once
// or more often, because the session had ended.
func TestDestroy_afterDropped(t *testing.T) {
	for _, do := range []string{
		"set:a=1,save,destroy",
		"set:a=1,save,set:a=2,save,destroy",
		"keys,meanwhile,set:a=1,save,set:a=2,save,destroy",
	} {
		t.Run(do, func(t *testing.T) {
			s := newSite(t)
			if old := s.user.Clone(); strings.Contains(do, "meanwhile") {
				s.Meanwhile = func() { old.Get("/?do=destroy") }
			} else {
				old.Get("/?do=destroy")
			}
			w := s.user.Get("/?do=" + do)
			if got := w.SetCookies(cookieName); w.Code != http.StatusOK || len(got) != 1 || len(s.user.Cookies()) != 0 {
				t.Errorf("got %d and the cookies %q, want 200 and one that expires", w.Code, got)
			}
		})
	}
}

// TestDestroy_refusedByValidator: a session that the validator refuses can be
// ended for good.
func TestDestroy_refusedByValidator(t *testing.T) {
	accept := true
	s := newSite(t, ginsession.WithValidator(func(context.Context, *ginsession.Session) (bool, error) { return accept, nil }))
	copied := s.user.Clone()
	accept = false
	if w := s.user.Get("/?do=destroy"); w.Code != http.StatusOK || len(s.user.Cookies()) != 0 {
		t.Errorf("log-out: got %d and the cookies %v, want 200 and none", w.Code, s.user.Cookies())
	}
	accept = true
	wantSees(t, "a copy of the cookie", copied)
}

// TestDestroy_afterSave logs out in a request that came with two cookies and has
// saved already.
func TestDestroy_afterSave(t *testing.T) {
	for _, do := range []string{"destroy", "set:a=1,save,destroy", "renew,save,destroy"} {
		t.Run(do, func(t *testing.T) {
			s := newSite(t)
			other := apptest.NewBrowser(s)
			other.Get("/?do=set:user=ann")
			both := s.user.Clone()
			both.Join(other)
			both.Get("/?do=" + do)
			wantSees(t, "one", s.user)
			wantSees(t, "the other", other)
		})
	}
}

// TestStore_panics: what a store that panics holds is unknown, also where the
// handler catches the panic and goes on.
func TestStore_panics(t *testing.T) {
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

// TestStore_panicsInsideRecovery mounts Recovery between the middleware and the
// handler.
func TestStore_panicsInsideRecovery(t *testing.T) {
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

// TestIdleTimeout_refreshNotStored reads a page when its session's idle timeout
// is to be refreshed, and the store does not take it. The page does not fail.
func TestIdleTimeout_refreshNotStored(t *testing.T) {
	type row struct {
		name  string
		fault apptest.Fault
	}
	rows := []row{
		{"error", apptest.Fault{Before: apptest.ErrStore}},
		{"answer lost", apptest.Fault{After: apptest.ErrStore}},
		{"unavailable", apptest.Fault{Before: ginsession.ErrUnavailable}},
		{"too large", apptest.Fault{Before: ginsession.ErrTooLarge}},
	}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		s := newSite(t, ginsession.WithIdleTimeout(time.Hour))
		time.Sleep(30 * time.Minute)
		saves := s.store.Calls("save")
		s.store.Hook(always(apptest.Call.Overwrites, row.fault))
		w := s.user.Get("/?do=get:user")
		s.store.Hook(nil)
		if s.store.Calls("save") == saves {
			t.Fatal("nothing was saved: the test disturbs nothing")
		}
		if got := w.Lines(); w.Code != http.StatusOK || !slices.Equal(got, []string{"ann"}) {
			t.Errorf("got %d and %q, want 200 and ann", w.Code, got)
		}
		if err := s.Session.Err(); err != nil || w.Errors != nil {
			t.Errorf("got Err %v and c.Errors %v, want none", err, w.Errors)
		}
		wantSees(t, "the next request", s.user, "user=ann")
	})
}

// TestIdleTimeout_refreshAfterSave ends a session while a request that has saved
// it goes on: until after the tombstone, and until a refresh is due.
func TestIdleTimeout_refreshAfterSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ginsession.WithIdleTimeout(4*time.Minute))
		other := s.user.Clone()
		s.Meanwhile = func() {
			other.Clone().Get("/?do=destroy")
			time.Sleep(txn.TombstoneLife + time.Second)
		}
		s.user.Get("/?do=set:a=1,save,meanwhile")
		if ids := s.store.IDs(); len(ids) != 0 {
			t.Errorf("got the records %q, want none", ids)
		}
		wantSees(t, "logged out", other)
	})
}

// TestSetPermanent_cookieNotSent: the browser has not heard of it, whatever the
// record says, so the next call tells it.
func TestSetPermanent_cookieNotSent(t *testing.T) {
	type row struct {
		name  string
		words string
		fault apptest.Fault
		code  int
	}
	rows := []row{
		{"after a flush", "write:x,flush,permanent:true", apptest.Fault{}, http.StatusOK},
		{"answer lost", "permanent:true", apptest.Fault{After: apptest.ErrStore}, http.StatusServiceUnavailable},
	}
	bubble(t, rows, func(r row) string { return r.name }, func(t *testing.T, row row) {
		s := newSite(t)
		s.store.Hook(always(apptest.Call.Overwrites, row.fault))
		if w := s.user.Get("/?do=" + row.words); w.Code != row.code {
			t.Errorf("got %d, want %d", w.Code, row.code)
		}
		s.store.Hook(nil)
		if w := s.user.Get("/?do=get:user"); len(w.SetCookies(cookieName)) != 0 {
			t.Errorf("a read: got the cookies %q, want none", w.SetCookies(cookieName))
		}
		s.user.Get("/?do=permanent:true")
		if s.user.CloseWindow(); len(s.user.Cookies()) != 1 {
			t.Fatal("the cookie went with the browser window")
		}
		wantSees(t, "the next window", s.user, "user=ann")
		if w := s.user.Get("/?do=get:user"); len(w.SetCookies(cookieName)) != 0 {
			t.Errorf("a later read: got the cookies %q, want none", w.SetCookies(cookieName))
		}
	})
}
