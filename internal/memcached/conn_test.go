package memcached

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

// wantNoRecord fails unless the load of "id" is an error of the exchange that
// takes little memory.
func wantNoRecord(t *testing.T, store *Store) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := store.Load(t.Context(), "id")
	runtime.ReadMemStats(&after)
	if err == nil || errors.Is(err, sessionerr.ErrNotFound) || r.Data != nil {
		t.Errorf("got a record of %d bytes and error %v, want an error of the exchange", len(r.Data), err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("the load allocated %d bytes, want 4 MiB at most", grown)
	}
}

// TestGuardedConn_Read_cutOff cuts a reply off at every byte.
func TestGuardedConn_Read_cutOff(t *testing.T) {
	store, proxy := misbehaving(t)
	const data = "data with \r\nEND\r\n in it"
	mustSave(t, store, data, nil)
	for cut, length := 0, 1; cut < length; cut++ {
		answer(proxy, "gets", func(reply []byte) memcachedtest.Reply {
			length = len(reply)
			return memcachedtest.Reply{Data: reply[:cut], Close: true}
		})
		wantNoRecord(t, store)
	}
	proxy.Answer(nil)
	if got := mustLoad(t, store); string(got.Data) != data {
		t.Errorf("got %q, want the record, now that the server behaves", got.Data)
	}
}

func TestGuardedConn_Read_wrongReplies(t *testing.T) {
	store, proxy := misbehaving(t)
	mustSave(t, store, "data", nil)
	for name, reply := range map[string]string{
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
	} {
		t.Run(name, func(t *testing.T) {
			answer(proxy, "gets", func([]byte) memcachedtest.Reply { return memcachedtest.Reply{Data: []byte(reply), Close: true} })
			wantNoRecord(t, store)
		})
	}
}

// TestGuardedConn_Read_trickling: a reply that trickles in takes no longer than
// any other.
func TestGuardedConn_Read_trickling(t *testing.T) {
	store, proxy := misbehaving(t)
	mustSave(t, store, strings.Repeat("x", 200), nil)
	answer(proxy, "gets", func(reply []byte) memcachedtest.Reply {
		return memcachedtest.Reply{Data: reply, Slow: func() { time.Sleep(20 * time.Millisecond) }} // beyond its time-out
	})
	start := time.Now()
	wantNoRecord(t, store)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v, want 2s at most", took)
	}
}
