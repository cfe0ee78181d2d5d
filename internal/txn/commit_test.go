package txn_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

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
		x.Content().Created, x.Content().Expires = time.Now().Add(test.created), time.Now().Add(test.expires)
		if got := x.RefreshDue(nil); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		if x.Close(); x.RefreshDue(nil) {
			t.Errorf("%s, late: got true, want false", test.name)
		}
	}
}
