package txn_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/codec"
	"github.com/ginsession/ginsession/internal/cookie"
	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/internal/txn"
)

// storage is a server store that keeps nothing: it answers as the table of
// package recordstore does, and remembers what it was asked to commit.
type storage struct {
	works  []txn.Work
	gone   bool       // what is stored has ended
	result txn.Result // of the next commits, if they fail
	fails  error
}

func (s *storage) Rank(value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, sessionerr.ErrForm
	}
	return time.Time{}, nil
}

// Load finds a session by what the cookie's value says.
func (s *storage) Load(_ context.Context, value string) (txn.Found, error) {
	at := txn.Locator{ID: value, Name: "name of " + value}
	switch value {
	case "":
		return txn.Found{}, sessionerr.ErrForm
	case "tombstone":
		return txn.Found{At: at}, sessionerr.ErrOver
	case "junk":
		return txn.Found{}, sessionerr.ErrSeal
	case "expired":
		return txn.Found{}, sessionerr.ErrExpired
	case "broken":
		return txn.Found{}, sessionerr.Unavailable(errors.New("no route to host"))
	}
	c := codec.Container{Created: time.Now(), Expires: time.Now().Add(time.Hour)}
	c.Set("user", value)
	return txn.Found{Content: c, At: at, Since: c.Created}, nil
}

func (s *storage) Commit(_ context.Context, w *txn.Work) (txn.Result, error) {
	s.works = append(s.works, *w)
	switch {
	case s.fails != nil:
		return s.result, s.fails
	case w.Place == txn.Ended && w.Intent == txn.Save, s.gone && w.Place == txn.Stored && w.Intent == txn.Save:
		return txn.Result{}, sessionerr.ErrEnded
	case w.Content.Empty():
		return txn.Result{Content: w.Content}, nil
	}
	r := txn.Result{Content: w.Content, At: txn.Locator{ID: "new", Name: "name of new"}, Place: txn.Stored}
	if w.Place == txn.Stored && w.Intent == txn.Save {
		r.At = w.At // the browser has its cookie
		return r, nil
	}
	r.Line = fmt.Sprintf("sid=%d", len(s.works))
	return r, nil
}

// last returns what the storage was asked to commit last.
func (s *storage) last() txn.Work {
	if len(s.works) == 0 {
		return txn.Work{}
	}
	return s.works[len(s.works)-1]
}

func newConfig(s *storage) *txn.Config {
	return &txn.Config{
		Source:   txn.Source{Cookie: cookie.New(cookie.Attributes{Name: "sid", Path: "/"}), Storage: s},
		Import:   &txn.Source{Cookie: cookie.New(cookie.Attributes{Name: "old", Path: "/"}), Storage: s},
		Policy:   txn.Policy{Lifetime: time.Hour},
		Detailed: true,
	}
}

// load returns a Txn for a request with a Cookie line.
func load(c *txn.Config, line string) *txn.Txn {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Cookie", line)
	t := txn.New(c, request, false, nil)
	t.Load(txn.Clock())
	return t
}

// bring takes a Txn to an origin and a place. What the browser is told on the
// way is in h.
func bring(c *txn.Config, s *storage, origin txn.Origin, place txn.Place, h http.Header) *txn.Txn {
	line := map[txn.Origin]string{txn.Loaded: "sid=ann", txn.Imported: "old=ann"}[origin]
	if origin == txn.Fresh && place == txn.Ended {
		return load(c, "sid=tombstone")
	}
	t := load(c, line)
	if origin != txn.Loaded && place != txn.Nowhere {
		t.Set("begun", "1")
		_ = t.Save()
	}
	switch {
	case origin == txn.Loaded && place == txn.Nowhere:
		t.Destroy()
		_ = t.Save()
	case place == txn.Ended:
		s.gone = true
		t.Set("dropped", "1")
		_ = t.Save()
	}
	t.Headers(h)
	return t
}

// intend has the next commit do more than save.
func intend(t *txn.Txn, intent txn.Intent) {
	switch intent {
	case txn.Renew:
		t.Renew()
	case txn.Destroy:
		t.Destroy()
		t.Renew() // does not take that back
	}
}

// sent returns the cookies that the lines set. Those that they expire have no
// value.
func sent(h http.Header) string {
	var pairs []string
	for _, line := range h["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, " ")
}

// TestTxn_Finish has a row for each legal state: whether a commit asks the
// storage, which gets that very state, what the browser is told, and where the
// session is then. The first commit of a request sends sid=1, the second sid=2.
func TestTxn_Finish(t *testing.T) {
	const (
		fresh, loaded, imported = txn.Fresh, txn.Loaded, txn.Imported
		nowhere, stored, ended  = txn.Nowhere, txn.Stored, txn.Ended
		save, renew, destroy    = txn.Save, txn.Renew, txn.Destroy
		empty, changed          = false, true // the journal
		no, asks                = false, true
	)
	dropped := sessionerr.ErrEnded
	tests := []struct {
		origin  txn.Origin
		place   txn.Place
		intent  txn.Intent
		changed bool
		asks    bool
		sent    string
		err     error
		then    txn.Place
	}{
		{fresh, nowhere, save, empty, no, "", nil, nowhere},
		{fresh, nowhere, save, changed, asks, "sid=1", nil, stored},
		{fresh, nowhere, renew, empty, asks, "", nil, nowhere},
		{fresh, nowhere, renew, changed, asks, "sid=1", nil, stored},
		{fresh, nowhere, destroy, empty, asks, "", nil, nowhere},
		{fresh, nowhere, destroy, changed, asks, "sid=1", nil, stored},
		{fresh, stored, save, empty, no, "sid=1", nil, stored},
		{fresh, stored, save, changed, asks, "sid=1", nil, stored},
		{fresh, stored, renew, empty, asks, "sid=2", nil, stored},
		{fresh, stored, renew, changed, asks, "sid=2", nil, stored},
		{fresh, stored, destroy, empty, asks, "sid=", nil, nowhere},
		{fresh, stored, destroy, changed, asks, "sid=2", nil, stored},
		{fresh, ended, save, empty, no, "", nil, ended},
		{fresh, ended, save, changed, asks, "", dropped, ended},
		{fresh, ended, renew, empty, asks, "", nil, nowhere},
		{fresh, ended, renew, changed, asks, "sid=1", nil, stored},
		{fresh, ended, destroy, empty, asks, "sid=", nil, nowhere},
		{fresh, ended, destroy, changed, asks, "sid=1", nil, stored},
		{loaded, nowhere, save, empty, no, "sid=", nil, nowhere},
		{loaded, nowhere, save, changed, asks, "sid=2", nil, stored},
		{loaded, nowhere, renew, empty, asks, "sid=", nil, nowhere},
		{loaded, nowhere, renew, changed, asks, "sid=2", nil, stored},
		{loaded, nowhere, destroy, empty, asks, "sid=", nil, nowhere},
		{loaded, nowhere, destroy, changed, asks, "sid=2", nil, stored},
		{loaded, stored, save, empty, no, "", nil, stored},
		{loaded, stored, save, changed, asks, "", nil, stored},
		{loaded, stored, renew, empty, asks, "sid=1", nil, stored},
		{loaded, stored, renew, changed, asks, "sid=1", nil, stored},
		{loaded, stored, destroy, empty, asks, "sid=", nil, nowhere},
		{loaded, stored, destroy, changed, asks, "sid=1", nil, stored},
		{loaded, ended, save, empty, no, "", nil, ended},
		{loaded, ended, save, changed, asks, "", dropped, ended},
		{loaded, ended, renew, empty, asks, "", nil, nowhere},
		{loaded, ended, renew, changed, asks, "sid=2", nil, stored},
		{loaded, ended, destroy, empty, asks, "sid=", nil, nowhere},
		{loaded, ended, destroy, changed, asks, "sid=2", nil, stored},
		{imported, nowhere, save, empty, asks, "old= sid=1", nil, stored},
		{imported, nowhere, save, changed, asks, "old= sid=1", nil, stored},
		{imported, nowhere, renew, empty, asks, "old= sid=1", nil, stored},
		{imported, nowhere, renew, changed, asks, "old= sid=1", nil, stored},
		{imported, nowhere, destroy, empty, asks, "old=", nil, nowhere},
		{imported, nowhere, destroy, changed, asks, "old= sid=1", nil, stored},
		{imported, stored, save, empty, no, "old= sid=1", nil, stored},
		{imported, stored, save, changed, asks, "old= sid=1", nil, stored},
		{imported, stored, renew, empty, asks, "old= sid=2", nil, stored},
		{imported, stored, renew, changed, asks, "old= sid=2", nil, stored},
		{imported, stored, destroy, empty, asks, "old= sid=", nil, nowhere},
		{imported, stored, destroy, changed, asks, "old= sid=2", nil, stored},
		{imported, ended, save, empty, no, "old=", nil, ended},
		{imported, ended, save, changed, asks, "old=", dropped, ended},
		{imported, ended, renew, empty, asks, "old=", nil, nowhere},
		{imported, ended, renew, changed, asks, "old= sid=3", nil, stored},
		{imported, ended, destroy, empty, asks, "old=", nil, nowhere},
		{imported, ended, destroy, changed, asks, "old= sid=3", nil, stored},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("origin %d, place %d, intent %d, changed %v", test.origin, test.place, test.intent, test.changed), func(t *testing.T) {
			s, h := &storage{}, http.Header{}
			x := bring(newConfig(s), s, test.origin, test.place, h)
			before := len(s.works)
			intend(x, test.intent)
			if test.changed {
				x.Set("changed", "1")
			}
			if err := x.Finish(h); !errors.Is(err, test.err) || (err != nil) != (test.err != nil) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			x.Headers(h)
			if got := len(s.works) - before; got > 1 || (got == 1) != test.asks {
				t.Errorf("got %d calls of the storage, want one: %v", got, test.asks)
			}
			if w := s.last(); test.asks && (w.Place != test.place || w.Intent != test.intent || w.Journal.Any() != test.changed) {
				t.Errorf("the storage got place %d, intent %d, changed %v", w.Place, w.Intent, w.Journal.Any())
			}
			if got := sent(h); got != test.sent {
				t.Errorf("got the cookies %q, want %q", got, test.sent)
			}
			if x.Origin() != test.origin {
				t.Errorf("got origin %d, want %d", x.Origin(), test.origin)
			}
			x.Set("then", "1")
			_ = x.Save()
			if w := s.last(); w.Place != test.then || w.Intent != save || len(w.Journal.Summary().Keys) != 1 {
				t.Errorf("the next commit: got place %d, intent %d, keys %q, want %d, %d and one key", w.Place, w.Intent, w.Journal.Summary().Keys, test.then, save)
			}
		})
	}
}
