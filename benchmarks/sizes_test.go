package benchmarks

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

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
			case "Redis":
				used = func() int { return sum(s.ask("INFO"), `used_memory:(\d+)`) }
			case "Memcached":
				used = func() (bytes int) {
					slabs := s.ask("stats slabs")
					for class := range 64 {
						bytes += sum(slabs, fmt.Sprintf(`STAT %d:chunk_size (\d+)`, class)) * sum(slabs, fmt.Sprintf(`STAT %d:used_chunks (\d+)`, class))
					}
					return bytes
				}
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

// BenchmarkHeap answers a million requests of all kinds in turn and looks at the
// heap in between: it must not grow.
func BenchmarkHeap(b *testing.B) {
	for _, v := range choose("ginsession", "cookie", "Memcached") {
		b.Run(v.String(), func(b *testing.B) {
			a, _ := v.start(b, false)
			var all []func()
			for _, do := range requests {
				all = append(all, prepare(a, do, follow(a, "", "/fill")))
			}
			for done, end := 0, 0; end <= 1_000_000; end += 250_000 {
				for ; done < end+1000; done += 6 { // the first thousand size pools and maps
					for _, run := range all {
						run()
					}
				}
				b.ReportMetric(float64(heap()>>10), fmt.Sprintf("KiB-after-%d", end))
			}
		})
	}
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
