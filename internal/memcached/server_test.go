package memcached

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/recordstore"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

// misbehaving returns a store whose exchanges pass through a proxy.
func misbehaving(t *testing.T) (*Store, *memcachedtest.Proxy) {
	t.Helper()
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	return New(DefaultKeyPrefix, []string{proxy.Addr}), proxy
}

// answer has reply decide over the answers to a verb.
func answer(proxy *memcachedtest.Proxy, verb string, reply func([]byte) memcachedtest.Reply) {
	proxy.Answer(func(request string, data []byte) memcachedtest.Reply {
		if !strings.HasPrefix(request, verb+" ") {
			return memcachedtest.Reply{Data: data}
		}
		return reply(data)
	})
}

// answerOnce sends one reply to a verb only up to the byte cut.
func answerOnce(proxy *memcachedtest.Proxy, verb string, cut int) {
	var lost sync.Once
	answer(proxy, verb, func(reply []byte) memcachedtest.Reply {
		r := memcachedtest.Reply{Data: reply}
		lost.Do(func() { r = memcachedtest.Reply{Data: reply[:cut], Close: true} })
		return r
	})
}

func save(t *testing.T, store *Store, id, data string, version any) error {
	t.Helper()
	return store.Save(t.Context(), id, recordstore.Record{Data: []byte(data), Expires: time.Now().Add(time.Hour), Version: version})
}

// mustSave saves a record under "id".
func mustSave(t *testing.T, store *Store, data string, version any) {
	t.Helper()
	if err := save(t, store, "id", data, version); err != nil {
		t.Fatal(err)
	}
}

func mustLoad(t *testing.T, store *Store) recordstore.Record {
	t.Helper()
	r, err := store.Load(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestServer_store_replyLost: a write whose reply is lost, at any byte, is found
// out about and never done twice.
func TestServer_store_replyLost(t *testing.T) {
	store, proxy := misbehaving(t)
	for cut := range len("STORED\r\n") {
		answerOnce(proxy, "add", cut)
		mustSave(t, store, "one", nil)
		first := mustLoad(t, store).Version
		answerOnce(proxy, "cas", cut)
		mustSave(t, store, "two", first)
		if err := save(t, store, "id", "three", first); !errors.Is(err, sessionerr.ErrConflict) {
			t.Errorf("save over an old version: got %v, want ErrConflict", err)
		}
		answerOnce(proxy, "delete", cut)
		if err := store.Delete(t.Context(), "id"); err != nil {
			t.Fatalf("delete, reply cut at byte %d: %v", cut, err)
		}
		if _, err := store.Load(t.Context(), "id"); !errors.Is(err, sessionerr.ErrNotFound) {
			t.Errorf("after the delete: got %v, want ErrNotFound", err)
		}
	}
}

// TestServer_store_overtaken: another request saves between a lost reply and the
// look at what is there. Our save may have come before it; a conflict would make
// the caller save it twice.
func TestServer_store_overtaken(t *testing.T) {
	store, proxy := misbehaving(t)
	mustSave(t, store, "one", nil)
	version := mustLoad(t, store).Version
	var lost atomic.Bool
	answer(proxy, "cas", func(reply []byte) memcachedtest.Reply {
		if lost.Swap(true) {
			return memcachedtest.Reply{Data: reply}
		}
		mustSave(t, store, "overtaken", mustLoad(t, store).Version)
		return memcachedtest.Reply{Close: true}
	})
	err := save(t, store, "id", "two", version)
	if err == nil || errors.Is(err, sessionerr.ErrConflict) || errors.Is(err, sessionerr.ErrNotFound) {
		t.Errorf("got %v, want the error of the exchange", err)
	}
	if got := string(mustLoad(t, store).Data); got != "overtaken" {
		t.Errorf("got %q, want what was saved last", got)
	}
}

// TestServer_store_late: the server gets to a save, whose reply is lost, only
// after the look at what is there. The second try then conflicts with the first.
func TestServer_store_late(t *testing.T) {
	for _, overtaken := range []bool{false, true} {
		store, proxy := misbehaving(t)
		mustSave(t, store, "one", nil)
		var before []byte
		answer(proxy, "gets", func(reply []byte) memcachedtest.Reply { before = reply; return memcachedtest.Reply{Data: reply} })
		version := mustLoad(t, store).Version
		saves, looks := 0, 0
		proxy.Answer(func(request string, reply []byte) memcachedtest.Reply {
			verb, _, _ := strings.Cut(request, " ")
			switch {
			case verb == "cas" && saves == 0:
				saves++
				return memcachedtest.Reply{Close: true}
			case verb == "gets" && looks == 0:
				looks++
				return memcachedtest.Reply{Data: before}
			case verb == "cas" && saves == 1 && overtaken:
				saves++
				mustSave(t, store, "overtaken", mustLoad(t, store).Version)
			}
			return memcachedtest.Reply{Data: reply}
		})
		if err := save(t, store, "id", "two", version); (err == nil) == overtaken || errors.Is(err, sessionerr.ErrConflict) {
			t.Errorf("overtaken %t: got %v", overtaken, err)
		}
	}
}

// TestServer_deadConnections: all idle connections are dead, as after a restart,
// and no call fails of it.
func TestServer_deadConnections(t *testing.T) {
	store, proxy := misbehaving(t)
	mustSave(t, store, "one", nil)
	version := mustLoad(t, store).Version
	for _, row := range []struct {
		name string
		call func() error
	}{
		{"load", func() error { _, err := store.Load(t.Context(), "id"); return err }},
		{"save", func() error { return save(t, store, "id", "two", version) }},
		{"create", func() error { return save(t, store, "other", "one", nil) }},
		{"delete", func() error { return store.Delete(t.Context(), "other") }},
	} {
		proxy.Asked()
		together := make(chan struct{})
		proxy.Answer(func(_ string, reply []byte) memcachedtest.Reply { <-together; return memcachedtest.Reply{Data: reply} })
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _, _ = store.Load(t.Context(), "id") })
		}
		for asked := 0; asked < 20; asked += len(proxy.Asked()) {
			time.Sleep(time.Millisecond) // until each has a connection of its own
		}
		close(together)
		all.Wait()
		proxy.HangUp()
		if err := row.call(); err != nil {
			t.Errorf("%s: got %v, want a fresh connection", row.name, err)
		}
	}
}

func TestServer_down(t *testing.T) {
	server := memcachedtest.Start(t)
	store := New(DefaultKeyPrefix, []string{server.Addr})
	mustSave(t, store, "data", nil)
	server.Kill()
	_, loadErr := store.Load(t.Context(), "id")
	for name, err := range map[string]error{"load": loadErr, "save": save(t, store, "id", "x", nil), "delete": store.Delete(t.Context(), "id")} {
		var cause *net.OpError
		if !errors.As(err, &cause) || !strings.Contains(err.Error(), "memcached does not answer") {
			t.Errorf("%s: got %v, want that memcached does not answer, and why", name, err)
		}
	}
	server.Restart()
	mustSave(t, store, "data", nil)
}

func TestServer_store_tooLarge(t *testing.T) {
	store := New(DefaultKeyPrefix, []string{memcachedtest.Start(t, "-I", "512k").Addr})
	mustSave(t, store, "one", nil)
	r := mustLoad(t, store)
	if err := save(t, store, "id", strings.Repeat("x", 600_000), r.Version); !errors.Is(err, sessionerr.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// TestServer_stalled: a server that stalls costs nobody more than a moment.
func TestServer_stalled(t *testing.T) {
	server := memcachedtest.Start(t)
	store := New(DefaultKeyPrefix, []string{server.Addr})
	mustSave(t, store, "data", nil)
	load := func() error { _, err := store.Load(t.Context(), "id"); return err }
	server.Pause()
	start := time.Now()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if load() == nil {
				t.Error("got an answer of a server that stalls")
			}
		})
	}
	if all.Wait(); time.Since(start) > 3*time.Second {
		t.Errorf("100 calls at once took %v, want 3s at most", time.Since(start))
	}
	start = time.Now()
	for range 20 {
		_ = load()
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("20 calls one after the other took %v, want 2s at most", took)
	}
	server.Resume()
	for start = time.Now(); load() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 2*time.Second {
			t.Fatal("not back 2s after the server")
		}
	}
}

// TestBreaker follows one server: the words are what it does, and "?" asks
// whether it may be asked.
func TestBreaker(t *testing.T) {
	for _, row := range []struct {
		name, steps, want string
	}{
		{"it answers", "?ok?ok?", "yes yes yes"},
		{"time-outs, but too few", "slow slow ?", "yes"},
		{"time-outs with an answer in between", "slow slow ok slow slow ?", "yes"},
		{"time-outs", "slow slow slow ? ?", "no no"},
		{"one at a time after a pause", "slow slow slow pause ? ? ?", "yes no no"},
		{"still slow", "slow slow slow pause ? slow ? pause ? ?", "yes no yes no"},
		{"back", "slow slow slow pause ? ok ? ?", "yes yes yes"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b breaker
			var got []string
			for step := range strings.FieldsSeq(strings.NewReplacer("?", " ? ").Replace(row.steps)) {
				switch step {
				case "slow", "ok":
					b.note(step == "slow")
				case "pause":
					time.Sleep(stallPause)
				case "?":
					got = append(got, map[bool]string{true: "yes", false: "no"}[b.allow()])
				}
			}
			if fmt.Sprint(got) != "["+row.want+"]" {
				t.Errorf("%s: got %v, want %s", row.name, got, row.want)
			}
		})
	}
}
