package recordstore_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

// distant takes four milliseconds to ask the store and to hear the answer.
type distant struct{ *apptest.Store }

func (d distant) Load(ctx context.Context, id string) (ginsession.Record, error) {
	time.Sleep(2 * time.Millisecond)
	defer time.Sleep(2 * time.Millisecond)
	return d.Store.Load(ctx, id)
}

func (d distant) Save(ctx context.Context, id string, r ginsession.Record) error {
	time.Sleep(2 * time.Millisecond)
	defer time.Sleep(2 * time.Millisecond)
	return d.Store.Save(ctx, id, r)
}

// TestStorage_Commit_contentionIsBounded always has another request be faster:
// after five seconds the outcome is an error, and the record as it was.
func TestStorage_Commit_contentionIsBounded(t *testing.T) {
	for _, do := range []string{"set:a=1", "renew", "destroy", "incr:n"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			s.store.Hook(always(apptest.Call.Overwrites, apptest.Fault{Before: ginsession.ErrConflict}))
			start := time.Now()
			w := s.user.Clone().Get("/?do=" + do)
			if took := time.Since(start); w.Code != http.StatusServiceUnavailable || took < 5*time.Second || took > 6*time.Second {
				t.Errorf("%s: got %d after %v, want 503 after five seconds", do, w.Code, took)
			}
			s.store.Hook(nil)
			wantSees(t, do, s.user, "user=ann")
		})
	}
}

// TestStorage_Commit_manyAtOnce has 50 requests change one session at the same
// moment. They queue up, and none of them fails.
func TestStorage_Commit_manyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 50
		s := newSite(t)
		s.GET("/incr", func(c *gin.Context) { ginsession.Update(ginsession.From(c), "n", func(n int) int { return n + 1 }) })
		start := make(chan struct{})
		s.store.Hook(func(c apptest.Call) (f apptest.Fault) {
			time.Sleep(time.Millisecond) // of the bubble
			if c.Overwrites() {
				f.Wait = start // until all have loaded the same version
			}
			return f
		})
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if w := s.user.Clone().Get("/incr"); w.Code != http.StatusOK || w.Errors != nil {
					t.Errorf("got %d and %v, want 200 and no errors", w.Code, w.Errors)
				}
			})
		}
		synctest.Wait()
		close(start)
		wg.Wait()
		wantSees(t, "afterwards", s.user, "n=50", "user=ann")
		if got, want := s.store.Calls("save"), 3*n; got > want {
			t.Errorf("got %d saves, want at most %d: most requests wait for their turn", got, want)
		}
	})
}

// TestStorage_Commit_twoProcesses has 400 browsers change one session again and
// again, half of them through each of two middlewares that share nothing but the
// store. Those that come last do not overtake those that wait, for whom the time
// would be over, and hardly ever save in vain.
func TestStorage_Commit_twoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const browsers, requests = 400, 8
		s := newSite(t)
		processes := []*apptest.App{
			apptest.New(t, ginsession.WithStore(distant{s.store})), apptest.New(t, ginsession.WithStore(distant{s.store})),
		}
		var failed atomic.Int32
		var wg sync.WaitGroup
		for i := range browsers {
			b := s.user.Clone()
			b.Handler = processes[i%len(processes)]
			wg.Go(func() {
				for range requests {
					if w := b.Get("/?do=incr:n"); w.Code != http.StatusOK {
						failed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := failed.Load(); n > 0 {
			t.Errorf("%d of %d requests failed, want none", n, browsers*requests)
		}
		wantSees(t, "afterwards", s.user, fmt.Sprint("n=", browsers*requests), "user=ann")
		if got, want := s.store.Calls("save"), 2*browsers*requests; got > want {
			t.Errorf("got %d saves, want at most %d: most requests wait for their turn", got, want)
		}
	})
}

// TestStorage_Commit_otherSession: a request does not wait for one that contends
// for another session, although their ids begin with the same byte.
func TestStorage_Commit_otherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		var one, other *apptest.Browser
		for seen := map[byte]*apptest.Browser{}; one == nil; {
			other = apptest.NewBrowser(s)
			other.Get("/?do=set:user=bob")
			box, err := base64.RawURLEncoding.DecodeString(other.Cookies()[0].Value)
			if err != nil {
				t.Fatal(err)
			}
			first := apptest.Unseal(t, box, "ginsession id 1", cookieName)[0]
			one, seen[first] = seen[first], other
		}
		var conflict atomic.Bool
		goOn := make(chan struct{})
		s.store.Hook(func(c apptest.Call) (f apptest.Fault) {
			if c.Overwrites() && !conflict.Swap(true) {
				f.Before = ginsession.ErrConflict
			} else if conflict.Load() {
				f.Wait = goOn
			}
			return f
		})
		var wg sync.WaitGroup
		wg.Go(func() { one.Get("/?do=incr:n") })
		synctest.Wait() // until it contends
		s.store.Hook(nil)
		start := time.Now()
		if w := other.Get("/?do=incr:n"); w.Code != http.StatusOK || time.Since(start) != 0 {
			t.Errorf("got %d after %v, want 200 at once", w.Code, time.Since(start))
		}
		close(goOn)
		wg.Wait()
		wantSees(t, "the one that contended", one, "n=1", "user=bob")
	})
}
