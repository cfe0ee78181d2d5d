package recordstore_test

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// TestStorage_Commit runs a request, and another one of the same session at its
// word "meanwhile".
func TestStorage_Commit(t *testing.T) {
	const ended = "save: ginsession: the session is not in the store: it ended while this request was under way, and what the request changed is dropped"
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
