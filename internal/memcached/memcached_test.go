package memcached_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
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
	"github.com/ginsession/ginsession/internal/storesuite"
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

func TestStore_sessions(t *testing.T) { sessions(t, storesuite.Short) }

func sessions(t *testing.T, n storesuite.Sizes) {
	storesuite.RunSessions(t, apptest.Public(newStore(memcachedtest.Start(t).Addr)), n)
}

func TestStore_outages(t *testing.T) {
	outages(t, storesuite.Load{PerSecond: 200, Users: 40, Between: 500 * time.Millisecond, Lasts: 800 * time.Millisecond})
}

func outages(t *testing.T, load storesuite.Load) {
	server := memcachedtest.Start(t)
	storesuite.RunOutages(t, apptest.Public(newStore(server.Addr)), load,
		storesuite.Outage{Name: "SIGSTOP", Begin: server.Pause, End: server.Resume},
		storesuite.Outage{Name: "SIGKILL", Begin: server.Kill, End: server.Restart, Forgets: true},
		storesuite.Outage{Name: "SIGSTOP again", Begin: server.Pause, End: server.Resume},
		storesuite.Outage{Name: "SIGKILL at once", Begin: func() { server.Kill(); server.Restart() }, End: func() {}, Forgets: true},
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

// TestStore_serverFor_fleet compares how many sessions stay where they are, when
// a fleet of 100 servers changes, with theory, and with crc32 modulo n.
func TestStore_serverFor_fleet(t *testing.T) { moves(t, 20_000) }

func moves(t *testing.T, sessions int) {
	const servers = 100
	var names, ids []string
	for i := range 110 {
		names = append(names, fmt.Sprintf("10.0.0.%d:11211", i))
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same ids each time
	for range sessions {
		ids = append(ids, fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()))
	}
	store := newStore(names[:servers]...)
	before, beforeModulo := owners(ids, names, store.ServerFor), modulo(t, names[:servers])
	for _, row := range []struct {
		name  string
		names []string
		want  float64
	}{
		{"one added", names[:101], 100. / 101},
		{"ten added", names[:110], 100. / 110},
		{"one lost", names[1:servers], 99. / 100},
		{"ten lost", names[10:servers], 90. / 100},
	} {
		after, afterModulo := owners(ids, row.names, newStore(row.names...).ServerFor), modulo(t, row.names)
		stay, stayModulo := 0, 0
		for i, id := range ids {
			if before[i] == after[i] {
				stay++
			}
			if beforeModulo(id) == afterModulo(id) {
				stayModulo++
			}
		}
		t.Logf("%s: %.3f %% of the sessions are kept, in theory %.3f; crc32 modulo n: %.3f",
			row.name, percent(stay, sessions), 100*row.want, percent(stayModulo, sessions))
		wantShare(t, row.name, stay, sessions, row.want)
	}
	rollOver(t, store, servers, ids)
}

// owners returns the name of the server that each id is on.
func owners(ids, names []string, serverFor func(id string) int) (owners []string) {
	for _, id := range ids {
		owners = append(owners, names[serverFor(id)])
	}
	return owners
}

// modulo returns gomemcache's own choice of a server.
func modulo(t *testing.T, names []string) func(id string) string {
	t.Helper()
	var list memcache.ServerList
	if err := list.SetServers(names...); err != nil {
		t.Fatal(err)
	}
	return func(id string) string {
		addr, err := list.PickServer(id)
		if err != nil {
			t.Fatal(err)
		}
		return addr.String()
	}
}

// rollOver restarts one server after the other. Users whose session is lost log in
// at once, and lose the new one too if its server is still to be restarted.
func rollOver(t *testing.T, store *memcached.Store, servers int, ids []string) {
	t.Helper()
	on := make([][]string, servers) // the sessions of each
	for _, id := range ids {
		s := store.ServerFor(id)
		on[s] = append(on[s], id)
	}
	lost := 0
	for s := range on {
		for _, id := range on[s] {
			lost++
			again := fmt.Sprint(id, s)
			next := store.ServerFor(again)
			on[next] = append(on[next], again)
		}
	}
	got, want := float64(lost)/float64(len(ids)), math.Pow(1+1/float64(servers), float64(servers))-1
	t.Logf("a rolling restart: each user loses %.3f sessions, in theory %.3f", got, want)
	if math.Abs(got-want) > 0.05 {
		t.Errorf("a rolling restart: each user loses %.3f sessions, want %.3f", got, want)
	}
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }

// wantShare fails if n is not the share of all that theory wants, within five
// standard deviations.
func wantShare(t *testing.T, what string, n, all int, share float64) {
	t.Helper()
	want := share * float64(all)
	if most := 5 * math.Sqrt(want*(1-share)); math.Abs(float64(n)-want) > most {
		t.Errorf("%s: got %d of %d, want %.0f, and at most %.0f more or less", what, n, all, want, most)
	}
}

// TestStore_fleet does to real servers what [TestStore_serverFor_fleet] calculates.
func TestStore_fleet(t *testing.T) { runFleet(t, 20, 500) }

func runFleet(t *testing.T, servers, sessions int) {
	small := func() *memcachedtest.Server { return memcachedtest.Start(t, "-t", "1", "-m", "4", "-c", "256") }
	f := &fleet{T: t}
	for range servers {
		f.servers = append(f.servers, small())
	}
	f.logIn(sessions)
	n := float64(servers)
	check := func(what string, got []byte, kept float64, rest byte) {
		t.Helper()
		k := bytes.Count(got, []byte{isKept})
		t.Logf("%s: %.2f %% of the sessions are kept, in theory %.2f; the others are %s",
			what, percent(k, sessions), 100*kept, map[byte]string{isLoggedOut: "logged out", isDown: "answered with a 503"}[rest])
		wantShare(t, what, k, sessions, kept)
		if other := sessions - k - bytes.Count(got, []byte{rest}); other != 0 {
			t.Errorf("%s: %d requests had another outcome", what, other)
		}
	}

	// 1. Servers join.
	check("nothing changed", f.visit(f.app(f.servers)), 1, isLoggedOut)
	more := append(slices.Clone(f.servers), small())
	check("one added", f.visit(f.app(more)), n/(n+1), isLoggedOut)
	for len(more) < servers+servers/10 {
		more = append(more, small())
	}
	check("a tenth added", f.visit(f.app(more)), n/float64(len(more)), isLoggedOut)

	// 2. Servers are lost: an outage until the apps do not name them any more.
	for _, lost := range []int{1, servers / 10} {
		for _, s := range f.servers[:lost] {
			s.Kill()
		}
		down := f.visit(f.app(f.servers))
		check(fmt.Sprint(lost, " killed"), down, 1-float64(lost)/n, isDown)
		without := f.visit(f.app(f.servers[lost:]))
		check(fmt.Sprint(lost, " killed and not named any more"), without, 1-float64(lost)/n, isLoggedOut)
		if !bytes.Equal(bytes.ReplaceAll(down, []byte{isDown}, []byte{isLoggedOut}), without) {
			t.Errorf("%d killed: it is not the same sessions that are down and that are lost", lost)
		}
	}

	// 3. A rolling restart of all, under one app.
	app, few := f.app(f.servers), &fleet{f.T, f.servers, f.users[:sessions/10]}
	for done := range servers {
		if f.servers[done].Kill(); done%(servers/4) == 0 {
			few.visit(app) // leaves connections that are dead soon
		}
		if f.servers[done].Restart(); (done+1)%(servers/4) == 0 {
			check(fmt.Sprint(done+1, " restarted"), f.visit(app), 1-float64(max(done+1, servers/10))/n, isLoggedOut)
		}
	}
}

// fleet is servers and users who are logged in there.
type fleet struct {
	*testing.T
	servers []*memcachedtest.Server
	users   []*apptest.Browser
}

func (f *fleet) app(servers []*memcachedtest.Server) *apptest.App {
	f.Helper()
	var names []string
	for _, s := range servers {
		names = append(names, s.Addr)
	}
	return apptest.New(f.T, ginsession.WithMemcached(names...))
}

func (f *fleet) logIn(sessions int) {
	f.Helper()
	app := f.app(f.servers)
	for i := range sessions {
		b := apptest.NewBrowser(app)
		if w := b.Get(fmt.Sprint("/?do=set:user=", i)); w.Code != http.StatusOK {
			f.Fatalf("log-in: got %d", w.Code)
		}
		f.users = append(f.users, b)
	}
}

// What became of a session.
const (
	isKept      = 'k'
	isLoggedOut = 'o'
	isDown      = 'd'
	isWrong     = 'w'
)

// visit has all users visit an app, and returns for each what is with the session.
func (f *fleet) visit(app *apptest.App) []byte {
	f.Helper()
	got := make([]byte, len(f.users))
	const workers = 4
	var wg sync.WaitGroup
	for first := range workers {
		wg.Go(func() {
			for i := first; i < len(f.users); i += workers {
				b := f.users[i].Clone()
				b.Handler = app
				w := b.Get("/?do=keys,rejected")
				switch got[i] = isWrong; {
				case w.Code == http.StatusServiceUnavailable:
					got[i] = isDown
				case w.Body.String() == fmt.Sprintf("user=%d\n<nil>\n", i):
					got[i] = isKept
				case w.Body.String() == ginsession.ErrUnknown.Error()+"\n":
					got[i] = isLoggedOut
				}
			}
		})
	}
	wg.Wait()
	if n := bytes.Count(got, []byte{isWrong}); n > 0 {
		f.Errorf("%d users saw something else than their own session or none", n)
	}
	return got
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
