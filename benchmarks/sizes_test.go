package benchmarks

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// BenchmarkSize weighs the standard session: the value of its cookie, its record,
// and the memory that many sessions need, on a server of their own or in the
// heap of this process. Memcached's slabs round up its items, which are key,
// record and header.
func BenchmarkSize(b *testing.B) {
	signed := &variant{"gin-contrib", "signed", func(string) app { return newContrib(cookie.NewStore(signing)) }}
	for _, v := range append(choose(""), signed) {
		b.Run(v.String(), func(b *testing.B) {
			a, s := v.start(b, true)
			_, value, _ := strings.Cut(follow(a, "", "/fill"), "=")
			b.ReportMetric(float64(len(value)), "cookie-B")
			used, sessions := heap, 100_000
			switch v.store {
			default:
				return
			case "memory":
				if v.lib != "ginsession" {
					return
				}
				sessions = 1_000_000
			case "Redis", "Memcached":
				used = func() int { return s.memory(v.store) }
			}
			if s != nil {
				b.ReportMetric(float64(s.recordSize(v.store)), "record-B")
			}
			login, before := a.prepare("/fill", "").send, used()
			for range sessions {
				login()
			}
			b.ReportMetric(float64(used()-before)/float64(sessions), "B/session")
			if v.store == "Memcached" {
				b.ReportMetric(float64(sum(s.ask("stats"), `STAT bytes (\d+)`))/float64(sessions+1), "item-B/session")
			}
			runtime.KeepAlive(a)
		})
	}
}

// heap is what is in use after a garbage collection, in bytes.
func heap() int {
	runtime.GC()
	runtime.GC() // what pools still held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// BenchmarkLive begins a million standard sessions and sends a request to each, in
// another order, from four goroutines at once: a third leave the session alone, a
// third read and a third write. The browsers' cookies are in a file, not in the heap.
func BenchmarkLive(b *testing.B) {
	const live, workers, room = 1_000_000, 4, 512
	for _, v := range choose("ginsession", "cookie", "Flask", "memory", "Memcached", "Redis") {
		b.Run(v.String(), func(b *testing.B) {
			a, s := v.start(b, true)
			jar, took := must(os.CreateTemp(b.TempDir(), "")), make([]time.Duration, live)
			each := func(visit func(i int)) {
				var wg sync.WaitGroup
				for first := range workers {
					wg.Go(func() {
						for i := first; i < live; i += workers {
							visit(i)
						}
					})
				}
				wg.Wait()
			}
			empty := heap()
			weigh := func(when string) { b.ReportMetric(float64(heap()-empty)/(1<<20), "MiB-"+when) }
			each(func(i int) { must(jar.WriteAt(fmt.Appendf(nil, "%-*s", room, follow(a, "", "/fill")), int64(i)*room)) })
			weigh("begun")
			gc, busy := collected()
			each(func(i int) {
				cookie := make([]byte, room)
				must(jar.ReadAt(cookie, int64(i*7919%live)*room))
				e := a.prepare("/"+requests[i%3], strings.TrimSpace(string(cookie)))
				start := time.Now()
				e.send()
				took[i] = time.Since(start)
			})
			gcAfter, busyAfter := collected()
			b.ReportMetric(100*(gcAfter-gc)/(busyAfter-busy), "gc-%")
			weigh("used")
			slices.Sort(took)
			b.ReportMetric(float64(took[live/2])/1e3, "p50-us")
			b.ReportMetric(float64(took[live*99/100])/1e3, "p99-us")
			if s != nil {
				b.ReportMetric(float64(s.memory(v.store))/(1<<20), "server-MiB")
			}
			runtime.KeepAlive(a)
			_ = jar.Close()
		})
	}
}

// collected returns the processor time of the garbage collector and of the whole
// process, in seconds, as of the last collection.
func collected() (gc, busy float64) {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64(), s[1].Value.Float64() - s[2].Value.Float64()
}

// BenchmarkKeys loads the standard session with so many more keys, each with a
// text of 20 bytes.
func BenchmarkKeys(b *testing.B) {
	for _, v := range choose("ginsession", "memory", "Memcached") {
		for _, n := range []int{1, 10, 100, 1000} {
			for _, do := range requests[1:3] { // read, write
				b.Run(fmt.Sprintf("store=%s/keys=%d/do=%s", v.store, n, do), func(b *testing.B) {
					a, s := v.start(b, true)
					loop(b, prepare(a, do, follow(a, "", fmt.Sprintf("/keys/%d", n), "/fill")))
					if s != nil {
						b.ReportMetric(float64(s.recordSize(v.store)), "record-B")
					}
				})
			}
		}
	}
}

// BenchmarkBody writes bodies in pieces of 16 KiB into memory: by gin alone, held
// back until the session is saved, and flushed first.
func BenchmarkBody(b *testing.B) {
	change := func(c *gin.Context) { ginsession.From(c).Set(keyUser, userID) }
	flush := func(c *gin.Context) { c.Writer.Flush() }
	h := must(ginsession.New(secret))
	for how, middleware := range map[string][]gin.HandlerFunc{"gin": nil, "held": {h, change}, "flushed": {h, change, flush}} {
		for _, size := range []int{1, 16, 60, 256, 1024, 4096} {
			b.Run(fmt.Sprintf("KiB=%d/how=%s", size, how), func(b *testing.B) {
				r, piece := newEngine(middleware...), make([]byte, min(size, 16)<<10)
				r.GET("/", func(c *gin.Context) {
					for left := size << 10; left > 0; left -= len(piece) {
						_, _ = c.Writer.Write(piece[:min(left, len(piece))])
					}
				})
				e := httpApp(r).prepare("/", "")
				if loop(b, e.send); e.size != size<<10 {
					b.Errorf("%d bytes came", e.size)
				}
			})
		}
	}
}
