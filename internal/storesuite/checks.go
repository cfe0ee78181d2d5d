package storesuite

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginsession/ginsession"
)

// TooLarge checks that the store takes a record of so many bytes and refuses one
// more, and that the record before stays.
func TooLarge(t *testing.T, store ginsession.Store, most int) {
	t.Helper()
	MustSave(t, store, "id", Stored("one", nil))
	version := MustLoad(t, store, "id").Version
	WantErr(t, store.Save(t.Context(), "id", Stored(strings.Repeat("x", most+1), version)), ginsession.ErrTooLarge)
	if got := string(MustLoad(t, store, "id").Data); got != "one" {
		t.Errorf("a record that is too large left %d bytes behind, want what was there", len(got))
	}
	MustSave(t, store, "id", Stored(strings.Repeat("x", most), version))
}

// ForeignVersion checks that a version of another store is an error that names
// its type.
func ForeignVersion(t *testing.T, store ginsession.Store) {
	t.Helper()
	MustSave(t, store, "id", Stored("one", nil))
	if err := store.Save(t.Context(), "id", Stored("two", uint64(1))); err == nil || !strings.Contains(err.Error(), "uint64") {
		t.Errorf("got %v, want an error that names the type", err)
	}
}

// Secrets checks that all that the server holds reveals nothing, and that
// swapping two users' records gives neither the other's session.
func Secrets(t *testing.T, store ginsession.Store, records func() map[string]string, put func(id, value string)) {
	t.Helper()
	r, cookies := App(store), map[string]string{}
	for _, name := range []string{"Wilhelmina", "Bartholomew"} {
		_, _, cookies[name] = Get(r, "/set/"+name, "")
	}
	held := records()
	ids := slices.Collect(maps.Keys(held))
	if len(ids) != 2 {
		t.Fatalf("got %d records, want 2", len(ids))
	}
	for name, cookie := range cookies {
		for _, plain := range []string{"nickname", name, cookie, cookie[15:40]} {
			if strings.Contains(fmt.Sprint(held), plain) {
				t.Errorf("%q stands in the clear", plain)
			}
		}
	}
	put(ids[0], held[ids[1]])
	put(ids[1], held[ids[0]])
	for _, cookie := range cookies {
		if _, body, _ := Get(r, "/get", cookie); body != " "+ginsession.ErrInvalid.Error() {
			t.Errorf("with the records swapped: got %q, want a fresh session", body)
		}
	}
}

// NothingStored checks that anonymous readers leave nothing behind.
func NothingStored(t *testing.T, store ginsession.Store, count func() int) {
	t.Helper()
	r := App(store)
	for range 10 {
		Get(r, "/get", "")
	}
	if n := count(); n != 0 {
		t.Errorf("got %d records, want none", n)
	}
}

// Counts are the outcomes of increments.
type Counts struct{ acknowledged, open int64 }

// Count increments n times, with 8 requests at once, and calls before at the
// start of each.
func Count(t *testing.T, r http.Handler, cookie string, n int64, before func(i int64)) Counts {
	t.Helper()
	if cookie == "" {
		t.Fatal("there is no session to count in")
	}
	var done, open, next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				before(i)
				switch status, _, _ := Get(r, "/add", cookie); status {
				case http.StatusOK:
					done.Add(1)
				case http.StatusServiceUnavailable:
					open.Add(1)
				default:
					t.Errorf("got status %d", status)
				}
			}
		})
	}
	all.Wait()
	return Counts{done.Load(), open.Load()}
}

// Want checks that all increments that were acknowledged are there, none twice.
func (c Counts) Want(t *testing.T, r http.Handler, cookie string) {
	t.Helper()
	var there int64
	_, body, _ := Get(r, "/n", cookie)
	if _, err := fmt.Sscan(body, &there); err != nil || there < c.acknowledged || there > c.acknowledged+c.open {
		t.Errorf("%q increments are there, %d were acknowledged, %d left open", body, c.acknowledged, c.open)
	}
	t.Logf("%d acknowledged, %d left open, %d there", c.acknowledged, c.open, there)
}

// Stalled checks that n requests at once of a stalled server have their 503
// together, within 2 seconds, and that the store is back in time.
func Stalled(t *testing.T, store ginsession.Store, n int, pause, resume func(), back time.Duration) {
	t.Helper()
	r := App(store)
	_, _, cookie := Get(r, "/set/x", "")
	pause()
	start := time.Now()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			path := []string{"/get", "/set/y"}[i%2]
			if status, _, _ := Get(r, path, cookie); status != http.StatusServiceUnavailable {
				t.Errorf("%s of a stalled server: got status %d, want 503", path, status)
			}
		})
	}
	all.Wait()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("%d requests of a stalled server took %v, want 2s at most", n, took)
	}
	resume()
	for start = time.Now(); ; {
		status, body, _ := Get(r, "/get", cookie)
		if status == http.StatusOK {
			if body != "x <nil>" && body != "y <nil>" { // a save that was under way may be done after all
				t.Errorf("got %q, want the session with x or y", body)
			}
			return
		}
		if time.Since(start) > back {
			t.Fatalf("%v after the server: got status %d", back, status)
		}
	}
}
