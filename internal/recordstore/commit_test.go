package recordstore_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/txn"
)

// TestStorage_Commit_tombstoneFails disturbs the save that puts the tombstone over the
// old record. The browser gets the new id only if the old record is known to
// bear the tombstone; there is never a second session that is good.
func TestStorage_Commit_tombstoneFails(t *testing.T) {
	before, lost := apptest.Fault{Before: apptest.ErrStore}, apptest.Fault{After: apptest.ErrStore}
	tombstone := apptest.Call.Overwrites
	type row struct {
		name    string
		hook    func(s *site) func(apptest.Call) apptest.Fault
		renewed bool
		old     []string // what the old cookie opens afterwards
	}
	rows := []row{
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

// always disturbs every call that matches.
func always(match func(apptest.Call) bool, f apptest.Fault) func(apptest.Call) apptest.Fault {
	return func(c apptest.Call) apptest.Fault {
		if match(c) {
			return f
		}
		return apptest.Fault{}
	}
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

// TestStorage_Commit_endsTheSuccessor logs out with an id that was renewed before: the
// log-out ends the session that goes on under the new id.
func TestStorage_Commit_endsTheSuccessor(t *testing.T) {
	type row struct {
		name     string
		renewals int
		slow     bool // the log-out has read the session before the renewals
		words    string
	}
	rows := []row{
		{"renewed meanwhile", 2, true, "destroy"},
		{"renewed before, and a flash", 2, false, "destroy,flash:bye"},
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

// TestStorage_Commit_recordGone changes a session whose record is gone by then. Nothing
// begins in its place.
func TestStorage_Commit_recordGone(t *testing.T) {
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

// TestStorage_Commit_recordGone_renew: a log-in is honoured if the session is gone,
// and starts from what its request changed.
func TestStorage_Commit_recordGone_renew(t *testing.T) {
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

// TestStorage_Commit_noRoomForTheOnlyMessage stores no session that would begin empty.
func TestStorage_Commit_noRoomForTheOnlyMessage(t *testing.T) {
	store := apptest.NewStore()
	store.SetLimit(60)
	b := apptest.NewBrowser(apptest.New(t, ginsession.WithStore(store)))
	w := b.Get("/?do=flash:Welcome")
	if ids := store.IDs(); w.Code != http.StatusOK || len(ids) != 0 || len(b.Cookies()) != 0 {
		t.Errorf("got %d, the records %q and %d cookies, want 200 and none", w.Code, ids, len(b.Cookies()))
	}
}

// TestStorage_Commit_droppedStaysDropped goes on after Save has reported that a change
// was dropped.
func TestStorage_Commit_droppedStaysDropped(t *testing.T) {
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

// TestStorage_Commit_destroyAfterDropped logs out in a request whose changes were dropped, once
// or more often, because the session had ended.
func TestStorage_Commit_destroyAfterDropped(t *testing.T) {
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

// TestStorage_Commit_destroyRefusedByValidator: a session that the validator refuses can be
// ended for good.
func TestStorage_Commit_destroyRefusedByValidator(t *testing.T) {
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

// TestStorage_Commit_destroyAfterSave logs out in a request that came with two cookies and has
// saved already.
func TestStorage_Commit_destroyAfterSave(t *testing.T) {
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

// TestStorage_Commit_permanentNotSent: the browser has not heard of it, whatever the
// record says, so the next call sends it.
func TestStorage_Commit_permanentNotSent(t *testing.T) {
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

// TestStorage_Commit_refreshNotStored reads a page when its session's idle timeout
// is to be refreshed, and the store does not take it. The page does not fail.
func TestStorage_Commit_refreshNotStored(t *testing.T) {
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

// TestStorage_Commit_refreshAfterSave ends a session while a request that has saved
// it goes on: until after the tombstone, and until a refresh is due.
func TestStorage_Commit_refreshAfterSave(t *testing.T) {
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

// TestStorage_Commit_replayRefused has an update work on the value that the
// request saw, and fail on the one that another has saved meanwhile.
func TestStorage_Commit_replayRefused(t *testing.T) {
	for _, renew := range []bool{false, true} {
		s := newSite(t)
		runs := 0
		s.GET("/update", func(c *gin.Context) {
			session := ginsession.From(c)
			if renew {
				session.Renew()
			}
			ginsession.Update(session, "user", func(any) any {
				if runs++; runs > 1 {
					return make(chan int)
				}
				return runs
			})
			s.user.Clone().Get("/?do=set:other=1")
		})
		if w := s.user.Clone().Get("/update"); w.Code != http.StatusInternalServerError || runs != 2 {
			t.Errorf("renew %v: got %d after %d runs, want 500 after 2", renew, w.Code, runs)
		}
		wantSees(t, "the user", s.user, "other=1", "user=ann")
	}
}

// TestStorage_Commit_idTaken begins no session if something is stored under its
// id.
func TestStorage_Commit_idTaken(t *testing.T) {
	store := apptest.NewStore()
	store.Hook(always(func(c apptest.Call) bool { return c.Op == "save" }, apptest.Fault{Before: ginsession.ErrConflict}))
	w := apptest.NewBrowser(apptest.New(t, ginsession.WithStore(store))).Get("/?do=set:a=1")
	if w.Code != http.StatusInternalServerError || len(w.SetCookies(cookieName)) != 0 || len(w.Errors) != 1 || !errors.Is(w.Errors[0], ginsession.ErrConflict) {
		t.Errorf("got %d, %q and %v, want 500, no cookie and ErrConflict", w.Code, w.SetCookies(cookieName), w.Errors)
	}
}

// TestStorage_Commit runs a request, and another one of the same session at its
// word "meanwhile".
func TestStorage_Commit(t *testing.T) {
	const ended = "save: ginsession: the session is not in the store: it has ended, and what this request changed is dropped"
	rows := []struct {
		name, do, other string
		theirs          bool     // the browser does not get the other one's response
		lines           []string // of the body
		cookies         int
		after           []string // what the browser's session holds
	}{
		{"set, then log-out", "get:user,meanwhile,set:a=1,save,keys,err,rejected", "destroy", true, []string{"ann", ended, ended[6:], "ginsession: the session is not in the store"}, 0, nil},
		{"set, then an emptying save and log-out", "get:user,meanwhile,set:a=1", "clear,save,destroy", true, []string{"ann"}, 0, nil},
		{"log-in after a log-out", "meanwhile,renew,save,set:id=42", "destroy", true, nil, 1, []string{"id=42"}},
		{"log-in over a log-out, and a flash", "get:user,meanwhile,renew,flash:welcome", "destroy", true, []string{"ann"}, 1, []string{"welcome"}},
		{"permanent and saved, then another log-in", "permanent:true,save,meanwhile,set:c=3,save", "renew,set:id=1", false, []string{ended}, 0, []string{"id=1", "user=ann"}},
		{"emptied and saved, then another log-in", "delete:user,save,meanwhile,set:c=3,save", "renew,set:id=1", false, []string{ended}, 0, []string{"id=1"}},
		{"emptied and saved, then filled by another", "delete:user,save,meanwhile,set:c=3", "set:b=2", true, nil, 1, []string{"b=2", "c=3"}},
		{"cleared after a delete, then set by another", "delete:user,clear,meanwhile", "set:b=2", true, nil, 1, nil},
		{"cleared and set", "clear,set:a=1", "", true, nil, 0, []string{"a=1"}},
		{"cleared and set after the headers", "flush,clear,set:a=1,save", "", true, nil, 0, []string{"a=1"}},
		{"cleared and renewed", "clear,renew,save,set:cart=1", "", true, nil, 1, []string{"cart=1"}},
		{"two flashes, of which one is taken by another", "keys,meanwhile,flash:two", "flashes", true, []string{"user=ann"}, 0, []string{"two", "user=ann"}},
	}
	for _, row := range rows {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			browser, other := s.user, s.user
			if strings.Contains(row.do, "flash:two") {
				s.user.Get("/?do=flash:one")
			}
			if row.theirs {
				other = s.user.Clone()
			}
			s.Meanwhile = func() { other.Get("/?do=" + row.other) }
			w := browser.Get("/?do=" + row.do)
			if got := w.Lines(); w.Code != http.StatusOK || !slices.Equal(got, row.lines) || len(w.SetCookies(cookieName)) != row.cookies {
				t.Errorf("%s: got %d, %q and the cookies %q, want 200, %q and %d", row.name, w.Code, got, w.SetCookies(cookieName), row.lines, row.cookies)
			}
			if got := browser.Get("/?do=flashes,keys").Lines(); !slices.Equal(got, row.after) {
				t.Errorf("%s: got %q afterwards, want %q", row.name, got, row.after)
			}
		})
	}
}

// TestStorage_Commit_clearedAndRenewed: the browser drops the cookie of a session
// that it need not keep, and the next request begins one.
func TestStorage_Commit_clearedAndRenewed(t *testing.T) {
	s := newSite(t)
	w := s.user.Get("/?do=clear,renew")
	if got := w.SetCookies(cookieName); len(got) != 1 || len(s.user.Cookies()) != 0 {
		t.Errorf("got %q, want one that expires", got)
	}
	s.user.Get("/?do=set:cart=1")
	wantSees(t, "the next request", s.user, "cart=1")
}

// TestStorage_Commit_emptiedByAnother: the browser has dropped its cookie, so a
// late change is either reported or not lost.
func TestStorage_Commit_emptiedByAnother(t *testing.T) {
	s := newSite(t)
	s.Meanwhile = func() { s.user.Get("/?do=delete:user") }
	w := s.user.Clone().Get("/?do=keys,flush,meanwhile,set:a=1,save")
	if got := sees(s.user); !strings.Contains(w.Body.String(), "save: ") && !slices.Equal(got, []string{"a=1"}) {
		t.Errorf("got %q and no error, want a=1 or one", got)
	}
}

// TestStorage_Commit_permanentByAnother: the later value holds for the cookie,
// too.
func TestStorage_Commit_permanentByAnother(t *testing.T) {
	s := newSite(t)
	other := s.user.Clone()
	s.Meanwhile = func() { other.Get("/?do=permanent:false") }
	w := s.user.Get("/?do=permanent:true,save,meanwhile,set:c=3")
	if got := w.SetCookies(cookieName); len(got) != 1 || strings.Contains(got[0], "Max-Age") {
		t.Errorf("got %q, want one without Max-Age", got)
	}
}

// TestStorage_Commit_update runs updates again on what another request has left.
func TestStorage_Commit_update(t *testing.T) {
	add := func(s *ginsession.Session, n int) { ginsession.Update(s, "n", func(old int) int { return old + n }) }
	once := func(s *ginsession.Session) { add(s, 1) }
	more := func(s *ginsession.Session) { add(s, 5) }
	take := func(s *ginsession.Session) {
		add(s, -1)
		ginsession.Update(s, "n", func(n int) int { return max(n, 0) })
	}
	setAgain := func(s *ginsession.Session) { add(s, 1); s.Set("n", s.GetInt("n")) }
	rows := []struct {
		name      string
		do, other func(*ginsession.Session)
		end       int // from 1
	}{
		{"once", once, once, 3},
		{"twice, of which the second changes nothing at first", take, take, 0},
		{"updated, then set to the same value", setAgain, more, 2},
		{"set, then updated", func(s *ginsession.Session) { s.Set("n", 10); add(s, 1) }, more, 11},
	}
	for _, row := range rows {
		s := newSite(t)
		visit := func(do func(*ginsession.Session)) {
			s.Play(s.user.Clone(), func(c *gin.Context) { do(ginsession.From(c)) })
		}
		visit(func(s *ginsession.Session) { s.Set("n", 1) })
		visit(func(s *ginsession.Session) { row.do(s); visit(row.other) })
		visit(func(s *ginsession.Session) {
			if got := s.GetInt("n"); got != row.end {
				t.Errorf("%s: got %d, want %d", row.name, got, row.end)
			}
		})
	}
}

// TestStorage_Commit_updateFails: an update that fails when it runs again takes
// nothing away from others.
func TestStorage_Commit_updateFails(t *testing.T) {
	rows := []struct {
		name string
		fail func() float64
		gone bool // the record
		want []string
	}{
		{"no JSON", math.NaN, false, []string{"f=1", "mine=1", "theirs=1", "user=ann"}},
		{"panic", func() float64 { panic("a bug") }, false, []string{"theirs=1", "user=ann"}},
		{"no JSON, and the record is gone", math.NaN, true, nil},
	}
	for _, row := range rows {
		s := newSite(t)
		s.Play(s.user.Clone(), func(c *gin.Context) {
			session, runs := ginsession.From(c), 0
			session.Keys()
			if s.user.Get("/?do=set:theirs=1"); row.gone {
				s.store.Evict()
			}
			ginsession.Update(session, "f", func(float64) float64 {
				if runs++; runs == 2 {
					return row.fail()
				}
				return 1
			})
			err := apptest.ErrStore // unless Save returns
			func() {
				defer func() { _ = recover() }()
				err = session.Save()
			}()
			if session.Set("mine", "1"); err == nil {
				t.Errorf("%s: got nil, want an error", row.name)
			}
		})
		if got := sees(s.user); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}
