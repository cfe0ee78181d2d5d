package ginsession_test

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
	"github.com/ginsession/ginsession/internal/memcachedtest"
	"github.com/ginsession/ginsession/internal/memstore"
)

func TestRegression_flaskIdleTooLarge(t *testing.T) {
	r := newEngine(t, ginsession.WithFlaskCookie())
	r.GET("/untouched", func(c *gin.Context) { c.String(200, "ok") })
	var value string
	for n := 5000; ; n -= 5 {
		rnd := rand.New(rand.NewPCG(1, 2))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(' ' + 1 + rnd.IntN(90))
			if b[i] == '"' || b[i] == '\\' {
				b[i] = 'x'
			}
		}
		value = ginsession.SignFlask(secret, `{"_permanent":true,"x":"`+string(b)+`"}`, time.Now())
		if len("session=")+len(value) <= 4080 {
			break
		}
	}
	t.Log("name+value", len("session=")+len(value))
	w := do(t, r, "GET", "/untouched", &http.Cookie{Name: "session", Value: value})
	if w.Code != 200 {
		t.Errorf("a route that does not touch the session: %d %q", w.Code, w.Body.String())
	}
}

// delayProxy passes everything, but, once armed, holds back the first request
// of a verb until the next one arrives on another connection: it then lets the
// first go first. That is a stalled connection (or worker thread).
func delayProxy(t *testing.T, verb string) (addr string, arm func()) {
	proxy := memcachedtest.StartProxy(t, memcachedtest.Start(t).Addr)
	of := func(request string) bool { return strings.HasPrefix(request, verb+" ") }
	var seen atomic.Int32
	second, firstDone := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		if n := seen.Load(); n < 2 {
			t.Errorf("%d requests to %s, want one that is held back and another", n, verb)
		}
	})
	before := func(request string) {
		if !of(request) {
			return
		}
		switch seen.Add(1) {
		case 1:
			<-second
		case 2:
			close(second)
			<-firstDone
		}
	}
	done := sync.OnceFunc(func() { close(firstDone) })
	after := func(request string, reply []byte) memcachedtest.Reply {
		if of(request) { // nothing but the first gets this far before it
			done()
		}
		return memcachedtest.Reply{Data: reply}
	}
	return proxy.Addr, func() { proxy.Before(before); proxy.Answer(after) }
}

func TestRegression_doubleIncrementDelayedCas(t *testing.T) {
	addr, arm := delayProxy(t, "cas")
	r, b := plainApp(t, ginsession.WithMemcached(addr))
	b.get("/inc")
	r.GET("/n", func(c *gin.Context) { c.JSON(200, ginsession.From(c).GetInt("n")) })
	arm()
	w := b.get("/inc")
	if got := b.get("/n").Body.String(); w.Code != http.StatusOK || got != "2" {
		t.Errorf("the second increment: got status %d and n=%s, want 200 and 2", w.Code, got)
	}
}

func TestRegression_delayedAdd(t *testing.T) {
	addr, arm := delayProxy(t, "add")
	r, b := plainApp(t, ginsession.WithMemcached(addr))
	r.GET("/n", func(c *gin.Context) { c.JSON(200, ginsession.From(c).GetInt("n")) })
	arm()
	w := b.get("/inc")
	if got := b.get("/n").Body.String(); w.Code != http.StatusOK || got != "1" {
		t.Errorf("the first increment: got status %d and n=%s, want 200 and 1", w.Code, got)
	}
}

func TestRegression_handlecontextBodylessLog(t *testing.T) {
	opt, lines := logTo()
	r, b := plainApp(t, opt)
	r.GET("/b", func(c *gin.Context) { ginsession.From(c).Set("second", 1); c.Status(204) })
	r.GET("/a", func(c *gin.Context) {
		ginsession.From(c).Set("first", 1)
		c.Request.URL.Path = "/b"
		r.HandleContext(c)
	})
	b.get("/a")
	var changed, lost []string
	for _, line := range lines() {
		if strings.Contains(line, `msg="session changed"`) {
			changed = append(changed, line)
		} else {
			lost = append(lost, line)
		}
	}
	if len(changed) != 1 || !strings.Contains(changed[0], "keys=[second]") ||
		len(lost) != 1 || !strings.Contains(lost[0], `msg="session not saved"`) || !strings.Contains(lost[0], "keys=[first]") {
		t.Errorf("got %q and %q, want what the second pass set saved, and what the first set not", changed, lost)
	}
}

// removing an idle timeout from the config
func TestRegression_idleRemoved(t *testing.T) {
	st := memstore.New()
	_, b := plainApp(t, ginsession.WithStore(st), ginsession.WithIdleTimeout(300*time.Millisecond))
	b.get("/set/a/1")
	r2, _ := plainApp(t, ginsession.WithStore(st))
	b.h = r2
	for range 8 {
		time.Sleep(50 * time.Millisecond)
		if got := b.get("/keys").Body.String(); got != "a" {
			t.Fatalf("an active session ended by a timeout that no longer exists: %q", got)
		}
	}
}

func TestRegression_concurrentCopy(t *testing.T) {
	r, b := plainApp(t, ginsession.WithStore(memstore.New()))
	b.get("/inc")
	var wg sync.WaitGroup
	r.GET("/x", func(c *gin.Context) {
		cp := c.Copy()
		for range 4 {
			wg.Go(func() {
				s := ginsession.From(cp)
				for range 20 {
					ginsession.Update(s, "n", func(n int) int { return n + 1 })
					s.Keys()
					s.Flashes()
					s.AddFlash("x", "")
					s.ID()
					s.Rejected()
					s.ExpiresAt()
					s.Err()
				}
				for !gone(s) {
					time.Sleep(time.Millisecond)
				}
				_ = s.Save()
			})
		}
		c.String(200, "x")
	})
	b.get("/x")
	over.Store("x", true)
	wg.Wait()
	r.GET("/n", func(c *gin.Context) { c.JSON(200, ginsession.From(c).GetInt("n")) })
	if got := b.get("/n").Body.String(); got != "81" {
		t.Errorf("n=%s", got)
	}
}

var over sync.Map

func gone(*ginsession.Session) bool { _, ok := over.Load("x"); return ok }
