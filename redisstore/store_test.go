package redisstore_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/redisstore"
	"github.com/ginsession/ginsession/redisstore/internal/redistest"
	"github.com/ginsession/ginsession/storetest"
)

func TestMain(m *testing.M) {
	redistest.Quiet()
	gin.SetMode(gin.TestMode)
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait for servers more than they compute
	os.Exit(m.Run())
}

// open returns a store on one server.
func open(t *testing.T, addr string, opts ...redisstore.Option) *redisstore.Store {
	t.Helper()
	return openURL(t, "redis://"+addr, opts...)
}

func openURL(t *testing.T, url string, opts ...redisstore.Option) *redisstore.Store {
	t.Helper()
	store, err := redisstore.Open(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// over returns a store over a client, which is closed with the test.
func over(t *testing.T, client redis.UniversalClient, opts ...redisstore.Option) *redisstore.Store {
	t.Helper()
	t.Cleanup(func() { _ = client.Close() })
	store, err := redisstore.New(client, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStore_contract(t *testing.T) {
	stores := map[string]func(t *testing.T) ginsession.Store{
		"tcp": func(t *testing.T) ginsession.Store { return open(t, redistest.Start(t).Addr) },
		"unix socket": func(t *testing.T) ginsession.Store {
			server := redistest.Start(t, "--unixsocket", "redis.sock")
			return openURL(t, "unix://"+server.Dir+"/redis.sock")
		},
		"user, password and database": func(t *testing.T) ginsession.Store {
			server := redistest.Start(t)
			server.Do(acl("+get", "+set", "+del", "+getrange", "+exists", "+evalsha", "+eval", "+select")...)
			return openURL(t, "redis://app:se%25ret@"+server.Addr+"/3")
		},
		"TLS": func(t *testing.T) ginsession.Store {
			server, roots := redistest.StartTLS(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr, TLSConfig: roots})
			return over(t, client)
		},
		"a client of one's own": func(t *testing.T) ginsession.Store {
			return over(t, redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr}))
		},
		"RESP2": func(t *testing.T) ginsession.Store {
			return over(t, redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr, Protocol: 2}))
		},
	}
	for name, newStore := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, newStore(t))
		})
	}
}

// acl makes a user who may do no more than this.
func acl(rules ...any) []any {
	return append([]any{"ACL", "SETUSER", "app", "on", ">se%ret", "~session:*", "-@all"}, rules...)
}

func TestStore_sessions(t *testing.T) {
	t.Parallel()
	storesuite.RunSessions(t, open(t, redistest.Start(t).Addr), storesuite.Short)
}

// One round trip for each load, save and delete, once the script is known. A
// record is created without it.
func TestStore_roundTrips(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr)
	store := open(t, proxy.Addr)
	save := func() error {
		return store.Save(t.Context(), "id", storesuite.Stored("two", storesuite.MustLoad(t, store, "id").Version))
	}
	steps := []struct {
		name, want string
		do         func() error
	}{
		{"create", "set", func() error { return store.Save(t.Context(), "id", storesuite.Stored("one", nil)) }},
		{"load", "get", func() error { _, err := store.Load(t.Context(), "id"); return err }},
		{"the first save", "get evalsha eval", save},
		{"save", "get evalsha", save},
		{"a script that was forgotten", "get evalsha eval", func() error { server.Do("SCRIPT", "FLUSH"); return save() }},
		{"delete", "del", func() error { return store.Delete(t.Context(), "id") }},
	}
	for _, step := range steps {
		err := step.do()
		if got := strings.Join(proxy.Asked(), " "); err != nil || got != step.want {
			t.Errorf("%s: asked %q, error %v, want %q", step.name, got, err, step.want)
		}
	}
}

// That the script has to be sent first leaves no doubt about a conflict.
func TestStore_conflictAndScriptForgotten(t *testing.T) {
	server := redistest.Start(t)
	store := open(t, server.Addr)
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	old := storesuite.MustLoad(t, store, "id").Version
	storesuite.MustSave(t, store, "id", storesuite.Stored("two", old))
	server.Do("SCRIPT", "FLUSH")
	storesuite.WantErr(t, store.Save(t.Context(), "id", storesuite.Stored("three", old)), ginsession.ErrConflict)
}

func TestStore_keys(t *testing.T) {
	server := redistest.Start(t)
	storesuite.MustSave(t, open(t, server.Addr), "one", storesuite.Stored("data", nil))
	storesuite.MustSave(t, open(t, server.Addr, redisstore.WithKeyPrefix("shop:")), "two", storesuite.Stored("data", nil))
	keys := server.Keys()
	slices.Sort(keys)
	if want := []string{"session:one", "shop:two"}; !slices.Equal(keys, want) {
		t.Errorf("got keys %q, want %q", keys, want)
	}
}

// The server ends a record to the millisecond, also one that was changed.
func TestStore_expiry(t *testing.T) {
	server := redistest.Start(t)
	store := open(t, server.Addr)
	r := storesuite.Stored("one", nil)
	wantLeft := func(lifetime time.Duration) {
		t.Helper()
		left := time.Duration(server.Do("PTTL", "session:id").(int64)) * time.Millisecond
		if left > lifetime+time.Millisecond || left < lifetime-2*time.Second {
			t.Errorf("it lasts for %v, want %v", left, lifetime)
		}
	}
	for _, lifetime := range []time.Duration{time.Minute, 400 * 24 * time.Hour, 1500 * time.Millisecond, 200 * 365 * 24 * time.Hour} {
		r.Expires = time.Now().Add(lifetime)
		storesuite.MustSave(t, store, "id", r)
		wantLeft(lifetime)
		r.Version = storesuite.MustLoad(t, store, "id").Version
	}
	r.Expires = time.Now().Add(-time.Hour)
	storesuite.MustSave(t, store, "id", r)
	time.Sleep(2 * time.Millisecond) // the server's clock cannot be injected
	_, err := store.Load(t.Context(), "id")
	storesuite.WantErr(t, err, ginsession.ErrNotFound)
}

func TestStore_tooLarge(t *testing.T) {
	storesuite.TooLarge(t, open(t, redistest.Start(t, "--proto-max-bulk-len", "1mb").Addr), 1<<20-16)
}

func TestStore_versionOfAnother(t *testing.T) {
	storesuite.ForeignVersion(t, open(t, redistest.Start(t).Addr))
}

// A version never comes again: not after a delete, not after a restart.
func TestStore_versionsDoNotComeAgain(t *testing.T) {
	server := redistest.Start(t)
	store := open(t, server.Addr)
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	old := storesuite.MustLoad(t, store, "id").Version
	again := map[string]func(){
		"deleted":   func() { _ = store.Delete(t.Context(), "id") },
		"restarted": func() { server.Kill(); server.Restart() },
		"flushed":   func() { server.Do("FLUSHALL") },
	}
	for name, drop := range again {
		drop()
		storesuite.WantErr(t, store.Save(t.Context(), "id", storesuite.Stored("two", old)), ginsession.ErrNotFound)
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
		if err := store.Save(t.Context(), "id", storesuite.Stored("two", old)); !errors.Is(err, ginsession.ErrConflict) {
			t.Errorf("%s and created anew: a save over the old version gave %v, want ErrConflict", name, err)
		}
	}
}

// What is not ours loads as a record that nothing opens, and can be replaced
// by its version, so that a log-out gets through.
func TestStore_foreignValues(t *testing.T) {
	server := redistest.Start(t)
	store := open(t, server.Addr)
	for _, value := range []string{"", "short", "exactly sixteen!", "more than sixteen bytes"} {
		server.Do("SET", "session:id", value)
		r := storesuite.MustLoad(t, store, "id")
		if want := value[min(16, len(value)):]; string(r.Data) != want {
			t.Errorf("%q: got data %q, want %q", value, r.Data, want)
		}
		storesuite.WantErr(t, store.Save(t.Context(), "id", storesuite.Stored("one", nil)), ginsession.ErrConflict)
		storesuite.MustSave(t, store, "id", storesuite.Stored("one", r.Version))
		storesuite.WantErr(t, store.Save(t.Context(), "id", storesuite.Stored("two", r.Version)), ginsession.ErrConflict)
	}
}

func TestStore_holdsNothingInTheClear(t *testing.T) {
	server := redistest.Start(t)
	storesuite.Secrets(t, open(t, server.Addr), func() map[string]string {
		held := map[string]string{}
		for _, key := range server.Keys() {
			held[key] = server.Do("GET", key).(string)
		}
		return held
	}, func(key, value string) { server.Do("SET", key, value) })
}

// A log-out that finds a damaged record gets through all the same.
func TestStore_damagedRecord(t *testing.T) {
	server := redistest.Start(t)
	r := storesuite.App(open(t, server.Addr))
	_, _, cookie := storesuite.Get(r, "/set/x", "")
	server.Do("SET", server.Keys()[0], "damaged")
	if status, body, _ := storesuite.Get(r, "/get", cookie); status != http.StatusOK || body != " "+ginsession.ErrInvalid.Error() {
		t.Errorf("got %d %q, want a fresh session", status, body)
	}
	if status, _, _ := storesuite.Get(r, "/logout", cookie); status != http.StatusOK {
		t.Errorf("log-out: got status %d, want 200", status)
	}
}

func TestStore_anonymousReadsStoreNothing(t *testing.T) {
	server := redistest.Start(t)
	storesuite.NothingStored(t, open(t, server.Addr), func() int { return len(server.Keys()) })
}

// A shell that logs commands, as hooks of the client do, shows no record.
func TestStore_hooksSeeNoRecord(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr})
	var seen []string
	client.AddHook(logHook{&seen})
	storesuite.MustSave(t, over(t, client), "id", storesuite.Stored("what nobody shall see", nil))
	if all := fmt.Sprint(seen); !strings.Contains(all, "(37 bytes)") || strings.Contains(all, "nobody") {
		t.Errorf("a hook sees %q, want the record's length only", all)
	}
}

type logHook struct{ seen *[]string }

func (h logHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h logHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h logHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		*h.seen = append(*h.seen, cmd.String())
		return next(ctx, cmd)
	}
}

// The longest lifetime there is does not wrap around to none.
func TestStore_forever(t *testing.T) {
	server := redistest.Start(t)
	forever := ginsession.Record{Data: []byte("x"), Expires: time.Now().Add(math.MaxInt64)}
	if err := open(t, server.Addr).Save(t.Context(), "id", forever); err != nil {
		t.Fatal(err)
	}
	if left, _ := server.Do("PTTL", "session:id").(int64); left < math.MaxInt64/int64(2*time.Millisecond) {
		t.Errorf("got %d milliseconds left", left)
	}
}
