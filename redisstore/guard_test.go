package redisstore_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/storesuite"
	"github.com/ginsession/ginsession/redisstore"
	"github.com/ginsession/ginsession/redisstore/internal/redistest"
)

// wantNoRecord wants a load to fail at once, without a record, and to allocate
// little more than a record takes.
func wantNoRecord(t *testing.T, store *redisstore.Store) {
	t.Helper()
	before, start := allocated(), time.Now()
	r, err := store.Load(t.Context(), "id")
	grown, took := allocated()-before, time.Since(start)
	if !errors.Is(err, ginsession.ErrUnavailable) || r.Data != nil {
		t.Errorf("got a record of %d bytes and error %v, want ErrUnavailable", len(r.Data), err)
	}
	if grown > 4<<20 {
		t.Errorf("the load allocated %d bytes, want 4 MiB at most", grown)
	}
	if took > 500*time.Millisecond {
		t.Errorf("the load took %v, want an error at once", took)
	}
	t.Logf("%d bytes allocated in %v: %v", grown, took, err)
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// hostileReplies claim or contain more than any reply to the store.
var hostileReplies = map[string]string{
	"a string of 1 GiB":           "$1073741824\r\nx\r\n",
	"a string of 1 MiB and one":   "$1048577\r\n" + strings.Repeat("x", 1<<20+1) + "\r\n",
	"a string over memory":        "$9223372036854775807\r\nx\r\n",
	"a verbatim string of 1 GiB":  "=1073741824\r\ntxt:x\r\n",
	"an error of 1 GiB":           "!1073741824\r\nERR x\r\n",
	"an array of 100 million":     "*100000000\r\n$1\r\nx\r\n",
	"a set of 100 million":        "~100000000\r\n$1\r\nx\r\n",
	"a map of 10 million":         "%10000000\r\n$1\r\nx\r\n",
	"an array behind an array":    "*2\r\n$1\r\nx\r\n*100000000\r\n",
	"a string behind a push":      ">1\r\n+x\r\n$1073741824\r\nx\r\n",
	"a string behind attributes":  "|1\r\n+x\r\n$1073741824\r\nx\r\n",
	"a map of large strings":      "%8\r\n" + strings.Repeat("+key\r\n$1048576\r\n"+strings.Repeat("x", 1<<20)+"\r\n", 8),
	"a list of large strings":     "%1\r\n+key\r\n*8\r\n" + strings.Repeat("$1048576\r\n"+strings.Repeat("x", 1<<20)+"\r\n", 8),
	"a map of long lines":         "%128\r\n" + strings.Repeat("+key\r\n+"+strings.Repeat("x", 60000)+"\r\n", 128),
	"arrays nested without end":   strings.Repeat("*1\r\n", 1<<20),
	"attributes without end":      strings.Repeat("|0\r\n", 1<<20),
	"a line without end":          "+" + strings.Repeat("x", 8<<20),
	"a long error":                "-ERR " + strings.Repeat("x", 8<<20) + "\r\n",
	"a length of many digits":     "$" + strings.Repeat("0", 8<<20) + "1\r\nx\r\n",
	"a length that follows later": "$?\r\n;1073741824\r\n",
	"an unknown kind":             "@1\r\n",
}

func TestOpen_hostileReplies(t *testing.T) {
	for name, reply := range hostileReplies {
		t.Run(name, func(t *testing.T) {
			wantNoRecord(t, openURL(t, "redis://"+redistest.StartFake(t, reply)))
		})
	}
}

func TestOpen_hostileGreetings(t *testing.T) {
	for name, hello := range hostileReplies {
		t.Run(name, func(t *testing.T) {
			wantNoRecord(t, openURL(t, "redis://"+redistest.StartFakeHello(t, hello, "$-1\r\n")))
		})
	}
}

// A reply that is refused says so, and costs a session nothing but a 503.
func TestOpen_hostileReplyNamed(t *testing.T) {
	store := openURL(t, "redis://"+redistest.StartFake(t, hostileReplies["a string of 1 GiB"]))
	if err := storesuite.LoadErr(store); err == nil || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("got %v, want an error that names the limit", err)
	}
}

// The most that a record can have passes, in pieces of any size.
func TestOpen_repliesInPieces(t *testing.T) {
	proxy := redistest.StartProxy(t, redistest.Start(t).Addr)
	store := open(t, proxy.Addr)
	for _, size := range []int{0, 1, 1 << 15, 1<<20 - 16} {
		id, data := fmt.Sprint("id", size), strings.Repeat("x\r\n$", size/4+1)[:size]
		storesuite.MustSave(t, store, id, storesuite.Stored(data, nil))
		proxy.Answer(func(_ string, reply []byte) redistest.Reply {
			if size > 1<<15 {
				return redistest.Reply{Data: reply}
			}
			return redistest.Reply{Data: reply, Slow: func() {}}
		})
		if got := string(storesuite.MustLoad(t, store, id).Data); got != data {
			t.Errorf("got %d bytes, want the %d that were saved", len(got), size)
		}
		proxy.Answer(nil)
	}
}

// The limits are those of one reply, not of a connection.
func TestOpen_manyReplies(t *testing.T) {
	store := openURL(t, "redis://"+redistest.Start(t).Addr+"?pool_size=1")
	large := strings.Repeat("x", 1<<20-16)
	storesuite.MustSave(t, store, "large", storesuite.Stored(large, nil))
	for range 5000 {
		if _, err := store.Load(t.Context(), "none"); !errors.Is(err, ginsession.ErrNotFound) {
			t.Fatalf("got %v, want ErrNotFound", err)
		}
	}
	for range 2 {
		if got := len(storesuite.MustLoad(t, store, "large").Data); got != len(large) {
			t.Errorf("got %d bytes, want %d", got, len(large))
		}
	}
}

// A value that another program wrote under a key of the store, and that no
// record can be, is refused.
func TestOpen_foreignValueTooLarge(t *testing.T) {
	server := redistest.Start(t)
	store := open(t, server.Addr)
	server.Do("SET", "session:id", strings.Repeat("x", 1<<20))
	if got := len(storesuite.MustLoad(t, store, "id").Data); got != 1<<20-16 {
		t.Errorf("got %d bytes, want %d", got, 1<<20-16)
	}
	server.Do("APPEND", "session:id", "x")
	wantNoRecord(t, store)
}

// A client of one's own keeps its own limits: a length that it cannot allocate
// is an error all the same.
func TestNew_replyOverMemory(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: redistest.StartFake(t, hostileReplies["a string over memory"]), MaxRetries: -1})
	storesuite.WantErr(t, storesuite.LoadErr(over(t, client)), ginsession.ErrUnavailable)
	patient := redis.NewClient(&redis.Options{
		Addr: redistest.StartFake(t, hostileReplies["a string over memory"]), MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	storesuite.WantErr(t, storesuite.LoadErr(over(t, patient)), ginsession.ErrUnavailable)
}
