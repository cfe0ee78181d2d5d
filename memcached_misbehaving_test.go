package ginsession_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
)

// misbehaving returns a store whose server's replies to the verb go through
// reply.
func misbehaving(t *testing.T) (ginsession.Store, func(verb string, reply func([]byte) memcachedtest.Reply)) {
	t.Helper()
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	return ginsession.NewMemcachedStore(proxy.Addr), func(verb string, reply func([]byte) memcachedtest.Reply) {
		proxy.Answer(func(request string, data []byte) memcachedtest.Reply {
			if !strings.HasPrefix(request, verb+" ") {
				return memcachedtest.Reply{Data: data}
			}
			return reply(data)
		})
	}
}

func stored(data string, version any) ginsession.Record {
	return ginsession.Record{Data: []byte(data), Expires: time.Now().Add(time.Hour), Version: version}
}

func wantNoRecord(t *testing.T, store ginsession.Store, id string) {
	t.Helper()
	before := allocated()
	r, err := store.Load(t.Context(), id)
	if err == nil || errors.Is(err, ginsession.ErrNotFound) || r.Data != nil {
		t.Errorf("got a record of %d bytes and error %v, want an error of the exchange", len(r.Data), err)
	}
	if grown := allocated() - before; grown > 4<<20 {
		t.Errorf("the load allocated %d bytes", grown)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestMisbehaving_cutAtEveryByte(t *testing.T) {
	store, answer := misbehaving(t)
	const id, data = "id", "data with \r\nEND\r\n in it"
	if err := store.Save(t.Context(), id, stored(data, nil)); err != nil {
		t.Fatal(err)
	}
	for cut, length := 0, 1; cut < length; cut++ {
		answer("gets", func(reply []byte) memcachedtest.Reply {
			length = len(reply)
			return memcachedtest.Reply{Data: reply[:cut], Close: true}
		})
		wantNoRecord(t, store, id)
	}
	answer("gets", func(reply []byte) memcachedtest.Reply { return memcachedtest.Reply{Data: reply} })
	if r, err := store.Load(t.Context(), id); err != nil || string(r.Data) != data {
		t.Errorf("got %q, %v, want the record, now that the server behaves", r.Data, err)
	}
}

func TestMisbehaving_replies(t *testing.T) {
	store, answer := misbehaving(t)
	const id = "id"
	if err := store.Save(t.Context(), id, stored("data", nil)); err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{
		"another key":               "VALUE session:ie 0 4 1\r\ndata\r\nEND\r\n",
		"two values":                "VALUE session:id 0 4 1\r\ndata\r\nVALUE session:id 0 4 1\r\ndata\r\nEND\r\n",
		"two values of other keys":  "VALUE session:ie 0 4 1\r\ndata\r\nVALUE session:id 0 4 1\r\ndata\r\nEND\r\n",
		"a length of 4 GiB":         "VALUE session:id 0 4294967295 1\r\ndata\r\nEND\r\n",
		"a length behind a tab":     "VALUE session:id\t0 4 4294967295 1\r\ndata\r\nEND\r\n",
		"a length over 4 GiB":       "VALUE session:id 0 99999999999999999999 1\r\ndata\r\nEND\r\n",
		"a length of 1 MiB and one": "VALUE session:id 0 1048577 1\r\ndata\r\nEND\r\n",
		"a negative length":         "VALUE session:id 0 -1 1\r\ndata\r\nEND\r\n",
		"too long a length":         "VALUE session:id 0 5 1\r\ndata\r\nEND\r\n",
		"too short a length":        "VALUE session:id 0 3 1\r\ndata\r\nEND\r\n",
		"no length":                 "VALUE session:id\r\ndata\r\nEND\r\n",
		"a line without end":        strings.Repeat("x", 1<<20),
		"values without end":        strings.Repeat("VALUE session:id 0 4 1\r\ndata\r\n", 100000),
		"nonsense":                  "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an error":                  "SERVER_ERROR out of memory\r\n",
		"empty lines":               "\r\n\r\n",
	}
	for name, reply := range rows {
		t.Run(name, func(t *testing.T) {
			answer("gets", func([]byte) memcachedtest.Reply { return memcachedtest.Reply{Data: []byte(reply), Close: true} })
			wantNoRecord(t, store, id)
		})
	}
}

// A reply that trickles in takes no longer than any other.
func TestMisbehaving_trickling(t *testing.T) {
	store, answer := misbehaving(t)
	if err := store.Save(t.Context(), "id", stored(strings.Repeat("x", 200), nil)); err != nil {
		t.Fatal(err)
	}
	answer("gets", func(reply []byte) memcachedtest.Reply {
		return memcachedtest.Reply{Data: reply, Slow: func() { time.Sleep(20 * time.Millisecond) }}
	})
	start := time.Now()
	wantNoRecord(t, store, "id")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v, want 2s at most", took)
	}
}

// A write whose reply is lost, at any byte, is found out about and never done
// twice.
func TestMisbehaving_replyLost(t *testing.T) {
	store, answer := misbehaving(t)
	for cut := range len("STORED\r\n") {
		id := fmt.Sprint("id", cut)
		once := func(verb string) {
			var lost sync.Once
			answer(verb, func(reply []byte) memcachedtest.Reply {
				r := memcachedtest.Reply{Data: reply}
				lost.Do(func() { r = memcachedtest.Reply{Data: reply[:cut], Close: true} })
				return r
			})
		}
		once("add")
		if err := store.Save(t.Context(), id, stored("one", nil)); err != nil {
			t.Fatalf("create, reply cut at byte %d: %v", cut, err)
		}
		first := loadRecord(t, store, id)
		once("cas")
		if err := store.Save(t.Context(), id, stored("two", first.Version)); err != nil {
			t.Fatalf("save, reply cut at byte %d: %v", cut, err)
		}
		if err := store.Save(t.Context(), id, stored("three", first.Version)); !errors.Is(err, ginsession.ErrConflict) {
			t.Errorf("save over an old version: got %v, want ErrConflict", err)
		}
		once("delete")
		if err := store.Delete(t.Context(), id); err != nil {
			t.Fatalf("delete, reply cut at byte %d: %v", cut, err)
		}
	}
}

func loadRecord(t *testing.T, store ginsession.Store, id string) ginsession.Record {
	t.Helper()
	r, err := store.Load(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Another request saves between a lost reply and the look at what is there: our
// save may have come before it. A conflict would make the caller save it twice.
func TestMisbehaving_replyLostAndOvertaken(t *testing.T) {
	store, answer := misbehaving(t)
	if err := store.Save(t.Context(), "id", stored("one", nil)); err != nil {
		t.Fatal(err)
	}
	version := loadRecord(t, store, "id").Version
	var lost atomic.Bool
	answer("cas", func(reply []byte) memcachedtest.Reply {
		if lost.Swap(true) {
			return memcachedtest.Reply{Data: reply}
		}
		now := loadRecord(t, store, "id")
		if err := store.Save(t.Context(), "id", stored("overtaken", now.Version)); err != nil {
			t.Error(err)
		}
		return memcachedtest.Reply{Close: true}
	})
	err := store.Save(t.Context(), "id", stored("two", version))
	if err == nil || errors.Is(err, ginsession.ErrConflict) || errors.Is(err, ginsession.ErrNotFound) {
		t.Errorf("got %v, want the error of the exchange", err)
	}
	if got := string(loadRecord(t, store, "id").Data); got != "overtaken" {
		t.Errorf("got %q, want what was saved last", got)
	}
}

// Every tenth reply to a write is lost. What was acknowledged counts once;
// where parallel writers leave it open whether a write was done, there is a 503.
func TestMisbehaving_incrementsWithLostReplies(t *testing.T) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	r := sessionApp(t, ginsession.WithMemcached(proxy.Addr))
	r.GET("/increment", func(c *gin.Context) {
		ginsession.Update(ginsession.From(c), "n", func(n int) int { return n + 1 })
	})
	r.GET("/n", func(c *gin.Context) { c.String(http.StatusOK, "%d", ginsession.From(c).GetInt("n")) })
	b := newBrowser(r)
	b.get("/set/a/1")
	var mu sync.Mutex
	writes := 0
	proxy.Answer(func(request string, reply []byte) memcachedtest.Reply {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(request, "cas ") {
			writes++
		}
		if strings.HasPrefix(request, "cas ") && writes%10 == 0 {
			return memcachedtest.Reply{Close: true}
		}
		return memcachedtest.Reply{Data: reply}
	})
	const n = 400
	statuses := make(chan int, n)
	for range 8 {
		go func() {
			for range n / 8 {
				statuses <- do(t, r, http.MethodGet, "/increment", b.cookies["__Host-session"]).Code
			}
		}()
	}
	done := 0
	for range n {
		if status := <-statuses; status == http.StatusOK {
			done++
		} else if status != http.StatusServiceUnavailable {
			t.Errorf("got status %d", status)
		}
	}
	var got int
	if _, err := fmt.Sscan(b.get("/n").Body.String(), &got); err != nil || got < done || got > n {
		t.Errorf("%d increments are there, %d of %d were acknowledged", got, done, n)
	}
	t.Logf("%d acknowledged, %d there", done, got)
}

// A damaged exchange is an outage, not an anonymous visitor.
func TestMisbehaving_sessionIs503(t *testing.T) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	b := newBrowser(sessionApp(t, ginsession.WithMemcached(proxy.Addr)))
	b.get("/set/a/1")
	proxy.Answer(func(_ string, reply []byte) memcachedtest.Reply {
		return memcachedtest.Reply{Data: reply[:len(reply)-1], Close: true}
	})
	if w := b.get("/get/a"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("got %d, cookie sent %v, want 503 and none", w.Code, w.Header().Get("Set-Cookie") != "")
	}
	proxy.Answer(nil)
	wantBody(t, b, "/get/a", http.StatusOK, "1"+loaded)
}
