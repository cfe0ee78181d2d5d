package recordstore_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
)

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
