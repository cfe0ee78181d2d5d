package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/redisstore"
	"github.com/ginsession/ginsession/redisstore/internal/redistest"
)

// misbehaving returns a store whose server's replies go through a proxy.
func misbehaving(t *testing.T, options string) (*redisstore.Store, *redistest.Proxy) {
	t.Helper()
	proxy := redistest.StartProxy(t, redistest.Start(t).Addr)
	return openURL(t, "redis://"+proxy.Addr+options), proxy
}

// loseOnce cuts the next reply to a command at a byte; -1 sends all of it. Then
// it ends the connection.
func loseOnce(proxy *redistest.Proxy, verb string, cut int) {
	var lost atomic.Bool
	proxy.Answer(func(command string, reply []byte) redistest.Reply {
		if command != verb || strings.HasPrefix(string(reply), "-NOSCRIPT") || lost.Swap(true) {
			return redistest.Reply{Data: reply}
		}
		if cut < 0 {
			cut = len(reply)
		}
		return redistest.Reply{Data: reply[:cut], Close: true}
	})
}

func TestMisbehaving_cutAtEveryByte(t *testing.T) {
	t.Parallel()
	store, proxy := misbehaving(t, "?max_retries=-1")
	const data = "data with \r\n$-1\r\n in it"
	storesuite.MustSave(t, store, "id", storesuite.Stored(data, nil))
	for cut, length := 0, 1; cut < length; cut++ {
		proxy.Answer(func(command string, reply []byte) redistest.Reply {
			length = len(reply)
			return redistest.Reply{Data: reply[:cut], Close: true}
		})
		r, err := store.Load(t.Context(), "id")
		if !errors.Is(err, ginsession.ErrUnavailable) || r.Data != nil {
			t.Errorf("cut at byte %d: got a record of %d bytes and error %v, want an error", cut, len(r.Data), err)
		}
	}
	proxy.Answer(nil)
	if got := string(storesuite.MustLoad(t, store, "id").Data); got != data {
		t.Errorf("got %q, want the record, now that the server behaves", got)
	}
}

// A write whose reply is lost, at any byte, is found out about and never done
// twice: the client sends it again, and it knows itself.
func TestMisbehaving_replyLost(t *testing.T) {
	t.Parallel()
	store, proxy := misbehaving(t, "")
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", storesuite.MustLoad(t, store, "id").Version)) // which brings the script
	for cut := range len("$5\r\nsaved\r\n") {
		id := fmt.Sprint("id", cut)
		loseOnce(proxy, "set", min(cut, len("+OK\r\n")-1))
		storesuite.MustSave(t, store, id, storesuite.Stored("one", nil))
		first := storesuite.MustLoad(t, store, id).Version
		loseOnce(proxy, "evalsha", cut)
		storesuite.MustSave(t, store, id, storesuite.Stored("two", first))
		storesuite.WantErr(t, store.Save(t.Context(), id, storesuite.Stored("three", first)), ginsession.ErrConflict)
		loseOnce(proxy, "del", min(cut, len(":1\r\n")-1))
		if err := store.Delete(t.Context(), id); err != nil {
			t.Fatalf("delete, reply cut at byte %d: %v", cut, err)
		}
	}
}

// The same if the reply to the script itself is lost, and if the server
// restarts and forgets the script between the two tries.
func TestMisbehaving_replyLostAndScriptForgotten(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	store := open(t, proxy.Addr)
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	loseOnce(proxy, "eval", 3)
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", storesuite.MustLoad(t, store, "id").Version))
	version := storesuite.MustLoad(t, store, "id").Version
	var lost atomic.Bool
	proxy.Answer(func(command string, reply []byte) redistest.Reply {
		if command != "evalsha" || lost.Swap(true) {
			return redistest.Reply{Data: reply}
		}
		server.Do("SCRIPT", "FLUSH")
		return redistest.Reply{Close: true}
	})
	proxy.Asked()
	storesuite.MustSave(t, store, "id", storesuite.Stored("two", version))
	if got, want := strings.Join(proxy.Asked(), " "), "evalsha evalsha eval"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// Somebody else saves between a lost reply and the next try: ours may have
// been the one before. To call that a conflict would store it twice.
func TestMisbehaving_replyLostAndOvertaken(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	for name, forget := range map[string]bool{"": false, "and the script is forgotten": true} {
		store, other := open(t, proxy.Addr), open(t, server.Addr)
		id := "id" + name
		storesuite.MustSave(t, store, id, storesuite.Stored("one", nil))
		var lost atomic.Bool
		proxy.Answer(func(command string, reply []byte) redistest.Reply {
			if command != "evalsha" || lost.Swap(true) {
				return redistest.Reply{Data: reply}
			}
			if err := other.Save(context.Background(), id, storesuite.Stored("overtaken", storesuite.MustLoad(t, other, id).Version)); err != nil {
				t.Error(err)
			}
			if forget {
				server.Do("SCRIPT", "FLUSH")
			}
			return redistest.Reply{Close: true}
		})
		err := store.Save(t.Context(), id, storesuite.Stored("two", storesuite.MustLoad(t, store, id).Version))
		if !errors.Is(err, ginsession.ErrUnavailable) || errors.Is(err, ginsession.ErrConflict) || errors.Is(err, ginsession.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrUnavailable: the outcome is unknown", name, err)
		}
		if got := string(storesuite.MustLoad(t, store, id).Data); got != "overtaken" {
			t.Errorf("%s: got %q, want what was saved last", name, got)
		}
		proxy.Answer(nil)
	}
}

// The reply to the creation of a record is lost, and then something happens to
// the record, before it is sent again or before its version is looked at.
func TestMisbehaving_replyToCreationLost(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	store, other := open(t, proxy.Addr), open(t, server.Addr)
	overtake := func(id string) error {
		return other.Save(context.Background(), id, storesuite.Stored("overtaken", storesuite.MustLoad(t, other, id).Version))
	}
	remove := func(id string) error { return other.Delete(context.Background(), id) }
	nothing := func(string) error { return nil }
	for _, row := range []struct {
		name, before  string // before: what is there already
		first, second func(id string) error
		want          error
		asked, data   string
	}{
		{"nothing", "", nothing, nothing, nil, "set set getrange", "one"},
		{"overtaken", "", overtake, nothing, ginsession.ErrUnavailable, "set set getrange", "overtaken"},
		{"deleted", "", remove, nothing, nil, "set set", "one"},
		{"overtaken late", "", nothing, overtake, ginsession.ErrUnavailable, "set set getrange", "overtaken"},
		{"deleted late", "", nothing, remove, ginsession.ErrUnavailable, "set set getrange", ""},
		{"taken before", "before", nothing, nothing, ginsession.ErrUnavailable, "set set getrange", "before"},
	} {
		if row.before != "" {
			storesuite.MustSave(t, other, row.name, storesuite.Stored(row.before, nil))
		}
		var sent atomic.Int32
		proxy.Answer(func(command string, reply []byte) redistest.Reply {
			if command != "set" {
				return redistest.Reply{Data: reply}
			}
			do, n := row.first, sent.Add(1)
			if n == 2 {
				do = row.second
			}
			if err := do(row.name); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
			if n == 1 {
				return redistest.Reply{Close: true}
			}
			return redistest.Reply{Data: reply}
		})
		proxy.Asked()
		err := store.Save(t.Context(), row.name, storesuite.Stored("one", nil))
		asked := strings.Join(proxy.Asked(), " ")
		if !errors.Is(err, row.want) || errors.Is(err, ginsession.ErrConflict) || asked != row.asked {
			t.Errorf("%s: got %v after %q, want %v after %q", row.name, err, asked, row.want, row.asked)
		}
		if r, err := other.Load(t.Context(), row.name); string(r.Data) != row.data {
			t.Errorf("%s: got %q and %v, want %q", row.name, r.Data, err, row.data)
		}
	}
}

// Idle connections that were closed meanwhile, far more than the client has
// tries, fail no request: each is sent once, on a connection that is alive.
func TestMisbehaving_deadConnections(t *testing.T) {
	const n = 20
	proxy := redistest.StartProxy(t, redistest.Start(t).Addr)
	store := open(t, proxy.Addr)
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", storesuite.MustLoad(t, store, "id").Version)) // which brings the script
	var all, arrived sync.WaitGroup
	arrived.Add(n)
	proxy.Before(func(string) { arrived.Done(); arrived.Wait() }) // n requests at once, on as many connections
	for range n {
		all.Go(func() {
			if _, err := store.Load(context.Background(), "id"); err != nil {
				t.Errorf("before they are closed: %v", err)
			}
		})
	}
	all.Wait()
	proxy.Before(nil)
	proxy.Asked()
	proxy.HangUp()
	storesuite.MustSave(t, store, "id", storesuite.Stored("two", storesuite.MustLoad(t, store, "id").Version))
	for range n {
		storesuite.MustLoad(t, store, "id")
	}
	if got, want := strings.Join(proxy.Asked(), " "), "get evalsha"+strings.Repeat(" get", n); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// Every tenth reply to a write is lost. What was acknowledged counts once;
// if parallel writers leave it open whether a write was done, there is a 503.
func TestMisbehaving_incrementsWithLostReplies(t *testing.T) {
	t.Parallel()
	store, proxy := misbehaving(t, "")
	r := storesuite.App(store)
	_, _, cookie := storesuite.Get(r, "/set/x", "")
	var writes atomic.Int32
	proxy.Answer(func(command string, reply []byte) redistest.Reply {
		if command == "evalsha" && writes.Add(1)%10 == 0 {
			return redistest.Reply{Close: true}
		}
		return redistest.Reply{Data: reply}
	})
	const n = 400
	wantCounted(t, r, cookie, n, func(int64) {})
}

// wantCounted counts with 8 requests at once, and wants all that were
// acknowledged, none twice.
func wantCounted(t *testing.T, r http.Handler, cookie string, n int64, before func(i int64)) {
	t.Helper()
	storesuite.Count(t, r, cookie, n, before).Want(t, r, cookie)
}

// The server stops in the middle of increments, and the client sends each again
// and again: all of it arrives when the server goes on.
func TestMisbehaving_incrementsOverStalls(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, _, cookie := storesuite.Get(storesuite.App(open(t, server.Addr)), "/set/x", "") // by a client with more patience
	r := storesuite.App(open(t, server.Addr+"?read_timeout=50ms"))
	wantCounted(t, r, cookie, 300, func(i int64) {
		if i%100 == 50 {
			server.Pause()
			time.Sleep(120 * time.Millisecond) // more than two of the client's time-outs
			server.Resume()
		}
	})
}

// A damaged exchange is an outage, not an anonymous visitor.
func TestMisbehaving_sessionIs503(t *testing.T) {
	store, proxy := misbehaving(t, "?max_retries=-1")
	r := storesuite.App(store)
	_, _, cookie := storesuite.Get(r, "/set/x", "")
	proxy.Answer(func(_ string, reply []byte) redistest.Reply {
		return redistest.Reply{Data: reply[:len(reply)-1], Close: true}
	})
	if status, _, after := storesuite.Get(r, "/get", cookie); status != http.StatusServiceUnavailable || after != cookie {
		t.Errorf("got %d, cookie sent: %v, want 503 and none", status, after != cookie)
	}
	proxy.Answer(nil)
	if _, body, _ := storesuite.Get(r, "/get", cookie); body != "x <nil>" {
		t.Errorf("got %q, want the session, now that the server behaves", body)
	}
}

// A server that stalls, or lets its reply trickle in, costs no more than the
// store's limit, whatever the client would do.
func TestMisbehaving_timeLimits(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	stores := map[string]*redisstore.Store{
		"of Open":          open(t, proxy.Addr, redisstore.WithTimeout(300*time.Millisecond)),
		"patient client":   over(t, redis.NewClient(&redis.Options{Addr: proxy.Addr}), redisstore.WithTimeout(300*time.Millisecond)),
		"impatient client": over(t, redis.NewClient(&redis.Options{Addr: proxy.Addr, ContextTimeoutEnabled: true}), redisstore.WithTimeout(300*time.Millisecond)),
	}
	for _, store := range stores {
		storesuite.MustSave(t, store, "id", storesuite.Stored(strings.Repeat("x", 200), nil))
		if err := store.Delete(t.Context(), "id"); err != nil {
			t.Fatal(err)
		}
	}
	storesuite.MustSave(t, stores["of Open"], "id", storesuite.Stored(strings.Repeat("x", 200), nil))
	wantInTime := func(name string, ctx context.Context, limit time.Duration) {
		t.Helper()
		start := time.Now()
		_, err := stores[name].Load(ctx, "id")
		if took := time.Since(start); took > limit+250*time.Millisecond || !errors.Is(err, ginsession.ErrUnavailable) {
			t.Errorf("%s: got %v after %v, want ErrUnavailable after %v", name, err, took, limit)
		}
	}
	proxy.Answer(func(_ string, reply []byte) redistest.Reply {
		return redistest.Reply{Data: reply, Slow: func() { time.Sleep(20 * time.Millisecond) }}
	})
	for name := range stores {
		wantInTime(name, t.Context(), 300*time.Millisecond)
	}
	proxy.Answer(nil)
	server.Pause()
	defer server.Resume()
	for name := range stores {
		wantInTime(name, t.Context(), 300*time.Millisecond)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		wantInTime(name, short, 50*time.Millisecond)
	}
}

// A hundred requests at once on a stalled server have their 503 together.
func TestMisbehaving_stalled(t *testing.T) {
	server := redistest.Start(t)
	store := open(t, server.Addr, redisstore.WithTimeout(700*time.Millisecond))
	storesuite.Stalled(t, store, 100, server.Pause, server.Resume, 2*time.Second)
}

func TestMisbehaving_cancelled(t *testing.T) {
	store, proxy := misbehaving(t, "")
	patient := over(t, redis.NewClient(&redis.Options{Addr: proxy.Addr}))
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	ctx, cancel := context.WithCancel(t.Context())
	proxy.Before(func(command string) {
		if command == "get" {
			cancel()
			time.Sleep(50 * time.Millisecond)
		}
	})
	_, err := patient.Load(ctx, "id")
	storesuite.WantErr(t, err, context.Canceled)
	_, err = store.Load(ctx, "id")
	storesuite.WantErr(t, err, context.Canceled)
}
