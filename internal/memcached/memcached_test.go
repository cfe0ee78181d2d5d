package memcached_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/apptest"
	"github.com/ginsession/ginsession/internal/memcached"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/recordstore"
	"github.com/ginsession/ginsession/internal/sessionerr"
	"github.com/ginsession/ginsession/storetest"
)

func newStore(servers ...string) *memcached.Store {
	return memcached.New(memcached.DefaultKeyPrefix, servers)
}

func TestStore_contract(t *testing.T) {
	start := func(t *testing.T) string { return memcachedtest.Start(t).Addr }
	client := func(c *memcache.Client) *memcached.Store {
		c.Timeout = 10 * time.Second // 100 connections at once, over TLS too, on a busy machine
		return memcached.NewClient(memcached.DefaultKeyPrefix, c)
	}
	for name, store := range map[string]func(t *testing.T) *memcached.Store{
		"tcp":           func(t *testing.T) *memcached.Store { return newStore(start(t)) },
		"unix socket":   func(t *testing.T) *memcached.Store { return newStore(memcachedtest.StartUnix(t).Addr) },
		"three servers": func(t *testing.T) *memcached.Store { return newStore(start(t), start(t), start(t)) },
		"own client":    func(t *testing.T) *memcached.Store { return client(memcache.New(start(t))) },
		"own client over TLS": func(t *testing.T) *memcached.Store {
			server, trust := memcachedtest.StartTLS(t)
			c := memcache.New(server.Addr)
			c.DialContext = (&tls.Dialer{Config: trust}).DialContext
			return client(c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, apptest.Public(store(t)))
		})
	}
}

func TestStore_sessions(t *testing.T) { sessions(t, storetest.Short) }

func sessions(t *testing.T, n storetest.Sizes) {
	storetest.RunSessions(t, apptest.Public(newStore(memcachedtest.Start(t).Addr)), n)
}

func TestStore_outages(t *testing.T) {
	outages(t, storetest.Load{PerSecond: 200, Users: 40, Between: 500 * time.Millisecond, Lasts: 800 * time.Millisecond})
}

func outages(t *testing.T, load storetest.Load) {
	server := memcachedtest.Start(t)
	storetest.RunOutages(t, apptest.Public(newStore(server.Addr)), load,
		storetest.Outage{Name: "SIGSTOP", Begin: server.Pause, End: server.Resume},
		storetest.Outage{Name: "SIGKILL", Begin: server.Kill, End: server.Restart, Forgets: true},
		storetest.Outage{Name: "SIGSTOP again", Begin: server.Pause, End: server.Resume},
		storetest.Outage{Name: "SIGKILL at once", Begin: func() { server.Kill(); server.Restart() }, End: func() {}, Forgets: true},
	)
}

// TestStore_Save_limit: the server is not asked to store a record over the limit,
// since it would drop the old one.
func TestStore_Save_limit(t *testing.T) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	store := newStore(proxy.Addr)
	id := strings.Repeat("x", 43)
	for _, row := range []struct {
		size int
		want error
		asks int
	}{{memcached.MaxRecord, nil, 1}, {memcached.MaxRecord + 1, sessionerr.ErrTooLarge, 0}} {
		r := recordstore.Record{Data: make([]byte, row.size), Expires: time.Now().Add(time.Hour)}
		if err := store.Save(t.Context(), id, r); !errors.Is(err, row.want) {
			t.Errorf("%d bytes: got %v, want %v", row.size, err, row.want)
		}
		if asked := proxy.Asked(); len(asked) != row.asks {
			t.Errorf("%d bytes: asked %d times, want %d", row.size, len(asked), row.asks)
		}
	}
}

// TestStore_foreign: neither a context that is over nor a version of another
// store gets as far as the server.
func TestStore_foreign(t *testing.T) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	store := newStore(proxy.Addr)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, loadErr := store.Load(over, "id")
	for name, err := range map[string]error{
		"load": loadErr, "save": store.Save(over, "id", recordstore.Record{}), "delete": store.Delete(over, "id"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
	if err := store.Save(t.Context(), "id", recordstore.Record{Version: "1"}); err == nil {
		t.Error("a version of another store: got no error")
	}
	if asked := proxy.Asked(); len(asked) != 0 {
		t.Errorf("asked %q, want nothing", asked)
	}
}

// TestStore_serverFor: a fifth server takes its own share of the sessions and no
// more, in whatever order the servers are named.
func TestStore_serverFor(t *testing.T) {
	names := []string{"a:1", "b:1", "c:1", "d:1", "e:1"}
	four, five, reversed := newStore(names[:4]...), newStore(names...), newStore("e:1", "d:1", "c:1", "b:1", "a:1")
	const ids = 10_000
	count := map[int]int{}
	for i := range ids {
		id := fmt.Sprint("id", i)
		before, after := four.ServerFor(id), five.ServerFor(id)
		count[after]++
		if after != before && after != 4 {
			t.Errorf("%s moved from %s to %s", id, names[before], names[after])
		}
		if got := 4 - reversed.ServerFor(id); got != after {
			t.Errorf("%s is on %s, and with the servers reversed on %s", id, names[after], names[got])
		}
	}
	for i, name := range names {
		if n := count[i]; n < ids*18/100 || n > ids*22/100 {
			t.Errorf("%s has %d of %d ids, want a fifth", name, n, ids)
		}
	}
}

// TestExpiration: seconds from now for up to 30 days, Unix time for more. A
// record lives two seconds too long rather than one too short.
func TestExpiration(t *testing.T) {
	const day = 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, row := range []struct {
			lives time.Duration
			want  int64
		}{
			{-time.Hour, 3}, {0, 3}, {1, 3}, {time.Second, 4}, {time.Second - 1, 3},
			{30*day - 3*time.Second, 30 * 86400}, {30*day - 2*time.Second, now.Unix() + 30*86400 + 1}, {31 * day, now.Unix() + 31*86400 + 3},
			{100 * 365 * day, math.MaxInt32},
		} {
			if got := memcached.Expiration(now.Add(row.lives)); int64(got) != row.want {
				t.Errorf("%v: got %d, want %d", row.lives, got, row.want)
			}
		}
	})
}

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
