package ginsession_test

import (
	"bytes"
	"context"
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

// TestStore_calls counts what requests ask of a store: nothing is read before
// the first use, and nothing written without a change.
func TestStore_calls(t *testing.T) {
	tests := []struct {
		do                    string
		loggedIn              bool
		loads, saves, deletes int
	}{
		{"", true, 0, 0, 0},
		{"get:user", true, 1, 0, 0},
		{"get:user,keys,flashes,err,save", true, 1, 0, 0},
		{"set:user=ann", true, 1, 0, 0}, // which it has
		{"set:a=1", true, 1, 1, 0},
		{"set:a=1,set:b=2,incr:n", true, 1, 1, 0},
		{"set:a=1,save,set:b=2", true, 2, 2, 0},
		{"delete:user", true, 1, 1, 0}, // emptied by compare-and-swap, not deleted
		{"renew", true, 1, 2, 0},       // the new record, and a tombstone
		{"destroy", true, 1, 1, 0},     // a tombstone
		{"destroy,flash:bye", true, 1, 2, 0},
		{"get:user", false, 0, 0, 0},
		{"set:a=1", false, 0, 1, 0},
		{"set:a=1,delete:a", false, 0, 0, 0},
		{"destroy", false, 0, 0, 0},
	}
	for _, test := range tests {
		store := apptest.NewStore()
		b := apptest.NewBrowser(apptest.New(t, ginsession.WithStore(store)))
		if test.loggedIn {
			b.Get("/?do=set:user=ann")
		}
		before := [3]int{store.Calls("load"), store.Calls("save"), store.Calls("delete")}
		b.Get("/?do=" + test.do)
		got := [3]int{store.Calls("load") - before[0], store.Calls("save") - before[1], store.Calls("delete") - before[2]}
		if want := [3]int{test.loads, test.saves, test.deletes}; got != want {
			t.Errorf("%q, logged in %v: got %v loads, saves and deletes, want %v", test.do, test.loggedIn, got, want)
		}
	}
}

// strict is a store that checks what it is handed.
type strict struct {
	*apptest.Store
	t *testing.T
}

func (s strict) Save(ctx context.Context, id string, r ginsession.Record) error {
	if len(id) != 43 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		s.t.Errorf("got the id %q, want 43 letters, digits, - and _", id)
	}
	if left := time.Until(r.Expires); left != time.Hour && left != time.Minute { // a session, a tombstone
		s.t.Errorf("got a record for %v, want an hour or a minute", left)
	}
	if bytes.Contains(r.Data, []byte("Recognisable")) {
		s.t.Errorf("got %q, want it sealed", r.Data)
	}
	if ctx.Err() != nil {
		s.t.Errorf("got %v: the client has hung up, and the commit is not to fail for it", ctx.Err())
	}
	return s.Store.Save(ctx, id, r)
}

// TestStore_contract hands a store ids that fit every key, records that show
// nothing, and contexts that are not over.
func TestStore_contract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := strict{apptest.NewStore(), t}
		b := apptest.NewBrowser(apptest.New(t, ginsession.WithStore(store), ginsession.WithLifetime(time.Hour)))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, do := range []string{"set:user=Recognisable", "set:a=1", "renew", "incr:n", "destroy"} {
			if w := b.Do(httptest.NewRequest(http.MethodGet, "/?do="+do, nil).WithContext(ctx)); w.Code != http.StatusOK {
				t.Errorf("%s: got %d, want 200", do, w.Code)
			}
		}
		if got := store.Calls("save"); got != 6 {
			t.Errorf("got %d saves, want 6", got)
		}
	})
}

// TestStore_ID is what the store knows a session by. It is no credential.
func TestStore_ID(t *testing.T) {
	store := apptest.NewStore()
	v := apptest.NewVisitor(t, ginsession.WithStore(store))
	v.Set("user", "ann")
	var id string
	v.Visit(func(s *session) { id = s.ID() })
	if !slices.Equal(store.IDs(), []string{id}) || id == "" {
		t.Errorf("got %q, want the one of %q", id, store.IDs())
	}
	v.Cookies()[0].Value = id
	if got := v.Values(); len(got) != 0 {
		t.Errorf("as a cookie: got %v, want nothing", got)
	}
}

// TestWithStore_logoutInUpdate logs out while a function given to Update runs again,
// and takes its time.
func TestWithStore_logoutInUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t, ginsession.WithStore(apptest.NewStore()))
		b := apptest.NewBrowser(app)
		logIn(t, b)
		other := b.Clone()
		runs, again, done := 0, make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			app.Play(b, func(c *gin.Context) {
				ginsession.Update(ginsession.From(c), "n", func(n int) int {
					if runs++; runs == 2 {
						close(again)
						time.Sleep(6 * time.Second) // asks another service
					}
					return n + 1
				})
				other.Clone().Get("/?do=set:k=v")
			})
		}()
		<-again
		start := time.Now()
		w := other.Get("/?do=destroy")
		t.Logf("the log-out took %v", time.Since(start))
		if w.Code != 200 {
			t.Errorf("log-out: %d, %v", w.Code, w.Errors)
		}
		<-done
		if got := sees(b); len(got) != 0 {
			t.Errorf("still logged in: %q", got)
		}
	})
}

// TestUpdate_asksItself makes a request with the same session in a function given to Update
// that runs again.
func TestUpdate_asksItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t, ginsession.WithStore(apptest.NewStore()))
		b := apptest.NewBrowser(app)
		logIn(t, b)
		runs := 0
		var codes []int
		w := app.Play(b, func(c *gin.Context) {
			ginsession.Update(ginsession.From(c), "n", func(n int) int {
				if runs++; runs == 2 {
					codes = append(codes, b.Clone().Get("/?do=set:inner=1").Code)
				}
				return n + 1
			})
			b.Clone().Get("/?do=set:k=v")
		})
		if len(codes) != 1 || codes[0] != 200 || w.Code != 200 {
			t.Errorf("got %d inside, %d outside: %v", codes, w.Code, w.Errors)
		}
	})
}
