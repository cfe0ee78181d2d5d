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

// storage keeps nothing. It notes what it is asked to do.
type storage struct {
	calls  []string
	works  []txn.Work // of all calls but "end"
	lines  int        // Set-Cookie lines so far
	gone   bool       // what is stored has ended
	stored bool       // the next calls fail, but only for the cookie
	fails  error
}

func (s *storage) Rank(value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, sessionerr.ErrForm
	}
	return time.Time{}, nil
}

// Load finds a session by what the cookie's value says.
func (*storage) Load(_ context.Context, value string, into *txn.Image) (time.Time, error) {
	now := time.Now()
	into.At = txn.Locator{ID: value, Name: "name of " + value}
	switch value {
	case "":
		return now, sessionerr.ErrForm
	case "tombstone":
		return now, sessionerr.ErrOver
	case "junk":
		return now, sessionerr.ErrSeal
	case "expired":
		return now, sessionerr.ErrExpired
	case "broken":
		return now, sessionerr.Unavailable(errors.New("no route to host"))
	}
	into.Content = codec.Container{Created: codec.InstantOf(now), Life: time.Hour}
	into.Content.Set("user", value)
	return now, nil
}

// call notes a call. A line leads the browser to what it has stored.
func (s *storage) call(name string, w *txn.Work, r *txn.Result, line bool) error {
	s.calls, s.works = append(s.calls, name), append(s.works, *w)
	if s.fails == nil || s.stored {
		r.Place, r.At = txn.Stored, w.At
	}
	if s.fails == nil && line {
		s.lines++
		r.At, r.Line = txn.Locator{ID: "new", Name: "name of new"}, fmt.Sprintf("sid=%d", s.lines)
	}
	return s.fails
}

func (s *storage) Create(_ context.Context, w *txn.Work, r *txn.Result) error {
	return s.call("create", w, r, true)
}

func (s *storage) Renew(_ context.Context, w *txn.Work, r *txn.Result) error {
	return s.call("renew", w, r, true)
}

func (s *storage) Change(_ context.Context, w *txn.Work, r *txn.Result) error {
	if s.gone {
		return sessionerr.ErrEnded
	}
	return s.call("change", w, r, false)
}

func (s *storage) End(context.Context, txn.Locator) error {
	s.calls = append(s.calls, "end")
	return s.fails
}

func newConfig(s *storage) *txn.Config {
	return &txn.Config{
		Source: txn.Source{Cookie: cookie.New(cookie.Attributes{Name: "sid", Path: "/"}), Storage: s},
		Imports: []txn.Source{
			{Cookie: cookie.New(cookie.Attributes{Name: "own", Path: "/"}), Storage: s},
			{Cookie: cookie.New(cookie.Attributes{Name: "old", Path: "/"}), Storage: s, Foreign: true},
		},
		Policy:   txn.Policy{Lifetime: time.Hour},
		Replayed: true,
	}
}

// load returns a Txn for a request with a Cookie line.
func load(c *txn.Config, line string) *txn.Txn {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Cookie", line)
	t := txn.New(c, request, false, &txn.Trace{})
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

// TestTxn_Finish has a row for each legal state: what a commit asks the storage
// for, what the browser is told, and where the session is then. The first cookie
// of a request is sid=1, the second sid=2.
func TestTxn_Finish(t *testing.T) {
	const (
		fresh, loaded, imported = txn.Fresh, txn.Loaded, txn.Imported
		nowhere, stored, ended  = txn.Nowhere, txn.Stored, txn.Ended
		save, renew, destroy    = txn.Save, txn.Renew, txn.Destroy
		empty, changed          = false, true // the journal
	)
	dropped := sessionerr.ErrEnded
	tests := []struct {
		origin  txn.Origin
		place   txn.Place
		intent  txn.Intent
		changed bool
		calls   string
		sent    string
		err     error
		then    txn.Place
	}{
		{fresh, nowhere, save, empty, "", "", nil, nowhere},
		{fresh, nowhere, save, changed, "create", "sid=1", nil, stored},
		{fresh, nowhere, renew, empty, "", "", nil, nowhere},
		{fresh, nowhere, renew, changed, "create", "sid=1", nil, stored},
		{fresh, nowhere, destroy, empty, "", "", nil, nowhere},
		{fresh, nowhere, destroy, changed, "create", "sid=1", nil, stored},
		{fresh, stored, save, empty, "", "sid=1", nil, stored},
		{fresh, stored, save, changed, "change", "sid=1", nil, stored},
		{fresh, stored, renew, empty, "renew", "sid=2", nil, stored},
		{fresh, stored, renew, changed, "renew", "sid=2", nil, stored},
		{fresh, stored, destroy, empty, "end", "sid=", nil, nowhere},
		{fresh, stored, destroy, changed, "end create", "sid=2", nil, stored},
		{fresh, ended, save, empty, "", "", nil, ended},
		{fresh, ended, save, changed, "", "", dropped, ended},
		{fresh, ended, renew, empty, "", "", nil, nowhere},
		{fresh, ended, renew, changed, "create", "sid=1", nil, stored},
		{fresh, ended, destroy, empty, "end", "sid=", nil, nowhere},
		{fresh, ended, destroy, changed, "end create", "sid=1", nil, stored},
		{loaded, nowhere, save, empty, "", "sid=", nil, nowhere},
		{loaded, nowhere, save, changed, "create", "sid=1", nil, stored},
		{loaded, nowhere, renew, empty, "", "sid=", nil, nowhere},
		{loaded, nowhere, renew, changed, "create", "sid=1", nil, stored},
		{loaded, nowhere, destroy, empty, "", "sid=", nil, nowhere},
		{loaded, nowhere, destroy, changed, "create", "sid=1", nil, stored},
		{loaded, stored, save, empty, "", "", nil, stored},
		{loaded, stored, save, changed, "change", "", nil, stored},
		{loaded, stored, renew, empty, "renew", "sid=1", nil, stored},
		{loaded, stored, renew, changed, "renew", "sid=1", nil, stored},
		{loaded, stored, destroy, empty, "end", "sid=", nil, nowhere},
		{loaded, stored, destroy, changed, "end create", "sid=1", nil, stored},
		{loaded, ended, save, empty, "", "", nil, ended},
		{loaded, ended, save, changed, "", "", dropped, ended},
		{loaded, ended, renew, empty, "", "", nil, nowhere},
		{loaded, ended, renew, changed, "create", "sid=1", nil, stored},
		{loaded, ended, destroy, empty, "end", "sid=", nil, nowhere},
		{loaded, ended, destroy, changed, "end create", "sid=1", nil, stored},
		{imported, nowhere, save, empty, "create", "old= sid=1", nil, stored},
		{imported, nowhere, save, changed, "create", "old= sid=1", nil, stored},
		{imported, nowhere, renew, empty, "create", "old= sid=1", nil, stored},
		{imported, nowhere, renew, changed, "create", "old= sid=1", nil, stored},
		{imported, nowhere, destroy, empty, "", "old=", nil, nowhere},
		{imported, nowhere, destroy, changed, "create", "old= sid=1", nil, stored},
		{imported, stored, save, empty, "", "old= sid=1", nil, stored},
		{imported, stored, save, changed, "change", "old= sid=1", nil, stored},
		{imported, stored, renew, empty, "renew", "old= sid=2", nil, stored},
		{imported, stored, renew, changed, "renew", "old= sid=2", nil, stored},
		{imported, stored, destroy, empty, "end", "old= sid=", nil, nowhere},
		{imported, stored, destroy, changed, "end create", "old= sid=2", nil, stored},
		{imported, ended, save, empty, "", "old=", nil, ended},
		{imported, ended, save, changed, "", "old=", dropped, ended},
		{imported, ended, renew, empty, "", "old=", nil, nowhere},
		{imported, ended, renew, changed, "create", "old= sid=2", nil, stored},
		{imported, ended, destroy, empty, "end", "old=", nil, nowhere},
		{imported, ended, destroy, changed, "end create", "old= sid=2", nil, stored},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("origin %d, place %d, intent %d, changed %v", test.origin, test.place, test.intent, test.changed), func(t *testing.T) {
			s, h := &storage{}, http.Header{}
			x := bring(newConfig(s), s, test.origin, test.place, h)
			s.calls, s.works = nil, nil
			intend(x, test.intent)
			if test.changed {
				x.Set("changed", "1")
			}
			if err := x.Finish(h); !errors.Is(err, test.err) || (err != nil) != (test.err != nil) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			x.Headers(h)
			if got := strings.Join(s.calls, " "); got != test.calls {
				t.Errorf("got the calls %q, want %q", got, test.calls)
			}
			for _, w := range s.works {
				if w.Place != test.place || w.Intent != test.intent || w.Journal.Any() != test.changed {
					t.Errorf("the storage got place %d, intent %d, changed %v", w.Place, w.Intent, w.Journal.Any())
				}
			}
			if got := sent(h); got != test.sent {
				t.Errorf("got the cookies %q, want %q", got, test.sent)
			}
			if x.Origin() != test.origin {
				t.Errorf("got origin %d, want %d", x.Origin(), test.origin)
			}
			s.gone, s.calls, s.works = false, nil, nil
			x.Set("then", "1")
			_ = x.Save()
			want := map[txn.Place]string{nowhere: "create", stored: "change"}[test.then]
			if got := strings.Join(s.calls, " "); got != want || got != "" && len(s.works[0].Journal.Summary().Keys) != 1 {
				t.Errorf("the next commit: got the calls %q, want %q for one change", got, want)
			}
		})
	}
}
