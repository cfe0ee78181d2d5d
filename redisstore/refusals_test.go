package redisstore_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/redisstore"
	"github.com/ginsession/ginsession/redisstore/internal/redistest"
)

// impatient returns a store whose client sends everything once.
func impatient(t *testing.T, addr string) *redisstore.Store {
	t.Helper()
	return openURL(t, "redis://"+addr+"?max_retries=-1")
}

// wantRefused wants ErrUnavailable with the server's code and the way out.
func wantRefused(t *testing.T, err error, code, way string) {
	t.Helper()
	var server redis.Error
	if !errors.Is(err, ginsession.ErrUnavailable) || !errors.As(err, &server) ||
		!strings.Contains(server.Error(), code) || !strings.Contains(err.Error(), way) {
		t.Errorf("got %v, want %v with %s and %q", err, ginsession.ErrUnavailable, code, way)
	}
}

func saveErr(t *testing.T, store ginsession.Store) error {
	t.Helper()
	return store.Save(t.Context(), "new id", storesuite.Stored("one", nil))
}

func TestRefusal_password(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "se%ret")
	wantRefused(t, storesuite.LoadErr(impatient(t, server.Addr)), "NOAUTH", "put it into the URL")
	wantRefused(t, saveErr(t, impatient(t, server.Addr)), "NOAUTH", "put it into the URL")
	wrong := openURL(t, "redis://:wr0ng@"+server.Addr)
	wantRefused(t, storesuite.LoadErr(wrong), "WRONGPASS", "user name and password")
	if err := storesuite.LoadErr(wrong); strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("the error shows the password: %v", err)
	}
	storesuite.MustSave(t, openURL(t, "redis://:se%25ret@"+server.Addr), "id", storesuite.Stored("one", nil))
}

func TestRefusal_permissions(t *testing.T) {
	server := redistest.Start(t)
	server.Do(acl("+get")...)
	store := openURL(t, "redis://app:se%25ret@"+server.Addr)
	storesuite.WantErr(t, storesuite.LoadErr(store), ginsession.ErrNotFound)
	wantRefused(t, saveErr(t, store), "NOPERM", "ACL SETUSER")
	storesuite.MustSave(t, open(t, server.Addr), "there", storesuite.Stored("one", nil))
	server.Do(acl("+get", "+evalsha", "+eval", "+getrange", "+exists")...)
	wantRefused(t, saveErr(t, store), "NOPERM", "ACL SETUSER")
	err := store.Save(t.Context(), "there", storesuite.Stored("two", storesuite.MustLoad(t, store, "there").Version))
	wantRefused(t, err, "", "ACL SETUSER") // inside the script
	other := openURL(t, "redis://app:se%25ret@"+server.Addr, redisstore.WithKeyPrefix("shop:"))
	wantRefused(t, storesuite.LoadErr(other), "NOPERM", "keys under the prefix")
}

func TestRefusal_replica(t *testing.T) {
	master := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	storesuite.MustSave(t, open(t, master.Addr), "id", storesuite.Stored("one", nil))
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 "+master.Port(), "--replica-serve-stale-data", "no")
	master.AwaitReplicated()
	store := impatient(t, replica.Addr)
	wantRefused(t, saveErr(t, store), "READONLY", "connect to the master")
	version := storesuite.MustLoad(t, store, "id").Version
	wantRefused(t, store.Save(t.Context(), "id", storesuite.Stored("two", version)), "READONLY", "connect to the master")
	wantRefused(t, store.Delete(t.Context(), "id"), "READONLY", "connect to the master")
	if got := string(storesuite.MustLoad(t, store, "id").Data); got != "one" {
		t.Errorf("got %q, want what was there", got)
	}
	master.Kill()
	replica.Await("the master is missed", func(*redis.Client) bool { return replica.Info("master_link_status") == "down" })
	wantRefused(t, storesuite.LoadErr(store), "MASTERDOWN", "lost its master")
}

func TestRefusal_tooFewReplicas(t *testing.T) {
	server := redistest.Start(t, "--min-replicas-to-write", "1")
	wantRefused(t, saveErr(t, impatient(t, server.Addr)), "NOREPLICAS", "min-replicas-to-write")
}

func TestRefusal_outOfMemory(t *testing.T) {
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	store := impatient(t, server.Addr)
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	server.Do("CONFIG", "SET", "maxmemory", "1")
	version := storesuite.MustLoad(t, store, "id").Version
	wantRefused(t, store.Save(t.Context(), "id", storesuite.Stored("two", version)), "OOM", "raise maxmemory")
	wantRefused(t, saveErr(t, store), "OOM", "raise maxmemory")
	if got := string(storesuite.MustLoad(t, store, "id").Data); got != "one" {
		t.Errorf("got %q, want what was there", got)
	}
	if err := store.Delete(t.Context(), "id"); err != nil {
		t.Errorf("a delete gave %v, want none", err)
	}
}

func TestRefusal_cannotPersist(t *testing.T) {
	server := redistest.Start(t, "--enable-protected-configs", "yes")
	gone := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	server.Do("CONFIG", "SET", "dir", gone, "save", "3600 1")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	server.Do("BGSAVE")
	server.Await("BGSAVE fails", func(*redis.Client) bool { return server.Info("rdb_last_bgsave_status") == "err" })
	wantRefused(t, saveErr(t, impatient(t, server.Addr)), "MISCONF", "cannot save to disk")
}

func TestRefusal_busy(t *testing.T) {
	server := redistest.Start(t, "--busy-reply-threshold", "10")
	store := impatient(t, server.Addr)
	storesuite.WantErr(t, storesuite.LoadErr(store), ginsession.ErrNotFound)
	c := server.Client()
	defer func() { _ = c.Close() }()
	done := make(chan struct{})
	go func() { defer close(done); c.Eval(context.Background(), "while true do end", nil) }()
	server.Await("the script runs", func(r *redis.Client) bool {
		return redis.HasErrorPrefix(r.Ping(context.Background()).Err(), "BUSY")
	})
	wantRefused(t, storesuite.LoadErr(store), "BUSY", "SCRIPT KILL")
	wantRefused(t, saveErr(t, store), "BUSY", "SCRIPT KILL")
	server.Do("SCRIPT", "KILL")
	<-done
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
}

func TestRefusal_loading(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024")
	store := impatient(t, server.Addr)
	storesuite.MustSave(t, store, "id", storesuite.Stored("one", nil))
	server.Do("DEBUG", "POPULATE", 1000, "key", 1000)
	server.Do("SAVE")
	server.Kill()
	server.Begin("--key-load-delay", "5000") // microseconds, 5 seconds in all
	server.Await("loading", func(r *redis.Client) bool {
		return redis.HasErrorPrefix(r.Ping(context.Background()).Err(), "LOADING")
	})
	wantRefused(t, storesuite.LoadErr(store), "LOADING", "still loading")
	wantRefused(t, saveErr(t, store), "LOADING", "still loading")
	server.Do("CONFIG", "SET", "key-load-delay", 0)
	server.Await("loaded", func(r *redis.Client) bool { return r.Ping(context.Background()).Err() == nil })
	if got := string(storesuite.MustLoad(t, store, "id").Data); got != "one" {
		t.Errorf("got %q, want what was saved", got)
	}
}

func TestRefusal_wrongType(t *testing.T) {
	server := redistest.Start(t)
	store := impatient(t, server.Addr)
	server.Do("RPUSH", "session:id", "somebody else's")
	wantRefused(t, storesuite.LoadErr(store), "WRONGTYPE", "WithKeyPrefix")
	storesuite.MustSave(t, store, "another", storesuite.Stored("one", nil))
	wantRefused(t, store.Save(t.Context(), "id", storesuite.Stored("two", storesuite.MustLoad(t, store, "another").Version)), "WRONGTYPE", "WithKeyPrefix")
	storesuite.WantErr(t, store.Save(t.Context(), "id", storesuite.Stored("one", nil)), ginsession.ErrConflict)
	if n := server.Do("LLEN", "session:id"); n != int64(1) {
		t.Errorf("somebody else's list has %v elements, want 1", n)
	}
}

func TestRefusal_clusterWithoutSlots(t *testing.T) {
	server := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", strings.Split(redistest.FreeAddr(t), ":")[1])
	wantRefused(t, storesuite.LoadErr(impatient(t, server.Addr)), "CLUSTERDOWN", "CLUSTER INFO")
}

func TestRefusal_maxClients(t *testing.T) {
	server := redistest.Start(t, "--maxclients", "1")
	first := server.Client()
	defer func() { _ = first.Close() }()
	if err := first.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	err := storesuite.LoadErr(impatient(t, server.Addr))
	if !errors.Is(err, ginsession.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// What old servers say, what none of ours can be brought to say, and what is
// no answer at all.
func TestRefusal_fakes(t *testing.T) {
	const script = "-ERR Error running script (call to f_9b): @user_script:2: @user_script: 12: -"
	rows := map[string]struct{ reply, code, way string }{
		"TRYAGAIN":             {"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", "TRYAGAIN", "moving this session's slot"},
		"ASK":                  {"-ASK 12182 127.0.0.1:1\r\n", "ASK", "redis.NewClusterClient"},
		"CROSSSLOT":            {"-CROSSSLOT Keys in request don't hash to the same slot\r\n", "CROSSSLOT", "redis.NewClusterClient"},
		"OOM of Redis 6":       {script + "OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM", "raise maxmemory"},
		"READONLY of Redis 6":  {script + "READONLY You can't write against a read only replica.\r\n", "READONLY", "connect to the master"},
		"no scripts":           {"-ERR unknown command 'evalsha'\r\n", "unknown command", "Redis refuses"},
		"an error in no words": {"-\r\n", "", ""},
		"another type":         {":1\r\n", "", ""},
		"an answer of none":    {"$5\r\nmaybe\r\n", "", ""},
		"nothing":              {"$-1\r\n", "", ""},
		"an array":             {"*2\r\n$1\r\na\r\n$1\r\nb\r\n", "", ""},
		"a length of none":     {"$-7\r\n", "", ""},
		"a length in letters":  {"$many\r\n", "", ""},
		"a length too long":    {"$9223372036854775807\r\nx\r\n", "", ""},
		"HTTP":                 {"HTTP/1.1 400 Bad Request\r\n\r\n", "", ""},
		"empty lines":          {"\r\n\r\n", "", ""},
		"a line without end":   {strings.Repeat("x", 1<<16), "", ""},
	}
	there := open(t, redistest.Start(t).Addr)
	storesuite.MustSave(t, there, "id", storesuite.Stored("one", nil))
	version := storesuite.MustLoad(t, there, "id").Version
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := openURL(t, "redis://"+redistest.StartFake(t, row.reply)+"?max_retries=-1&read_timeout=200ms&protocol=2")
			errs := []error{store.Save(t.Context(), "id", storesuite.Stored("two", version)), saveErr(t, store)}
			if name == "nothing" { // is what a server answers if there is a record already
				errs = errs[:1]
			}
			for _, err := range errs {
				storesuite.WantErr(t, err, ginsession.ErrUnavailable)
				if row.way != "" {
					wantRefused(t, err, row.code, row.way)
				}
				if errors.Is(err, ginsession.ErrConflict) || errors.Is(err, ginsession.ErrNotFound) {
					t.Errorf("an answer that is none was taken for %v", err)
				}
			}
		})
	}
}

func TestRefusal_nobodyThere(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := open(t, server.Addr)
	server.Kill()
	start := time.Now()
	for _, err := range []error{storesuite.LoadErr(store), saveErr(t, store), store.Delete(t.Context(), "id")} {
		if !errors.Is(err, ginsession.ErrUnavailable) || !strings.Contains(err.Error(), "Redis does not answer") {
			t.Errorf("got %v, want ErrUnavailable and what is wrong", err)
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("three refused connections took %v, want 1s at most", took)
	}
	r := storesuite.App(store)
	if status, body, cookie := storesuite.Get(r, "/set/x", ""); status != http.StatusServiceUnavailable || cookie != "" || body != "Service Unavailable\n" {
		t.Errorf("got %d %q, cookie sent: %v, want 503 and none", status, body, cookie != "")
	}
}
