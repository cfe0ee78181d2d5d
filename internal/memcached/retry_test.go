package memcached_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/memcachedtest"
)

// TestStore_Save_delayed holds back the first request of a verb until it is tried
// again on another connection, and lets the first go first, as a stalled
// connection does. An update is counted once.
func TestStore_Save_delayed(t *testing.T) {
	for _, verb := range []string{"add", "cas"} {
		proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
		b := apptest.NewBrowser(apptest.New(t, ginsession.WithMemcached(proxy.Addr)))
		want := "n=1"
		if verb == "cas" {
			b.Get("/?do=incr:n")
			want = "n=2"
		}
		var seen atomic.Int32
		second, firstDone := make(chan struct{}), make(chan struct{})
		done := sync.OnceFunc(func() { close(firstDone) })
		proxy.Before(func(request string) {
			if strings.HasPrefix(request, verb+" ") {
				switch seen.Add(1) {
				case 1:
					<-second
				case 2:
					close(second)
					<-firstDone
				}
			}
		})
		proxy.Answer(func(request string, reply []byte) memcachedtest.Reply {
			if strings.HasPrefix(request, verb+" ") { // nothing but the first gets this far before it
				done()
			}
			return memcachedtest.Reply{Data: reply}
		})
		w := b.Get("/?do=incr:n")
		if got := b.Get("/?do=keys").Lines(); w.Code != http.StatusOK || !slices.Equal(got, []string{want}) || seen.Load() < 2 {
			t.Errorf("%s: got %d, %q and %d tries, want 200, %s and 2", verb, w.Code, got, seen.Load(), want)
		}
	}
}
