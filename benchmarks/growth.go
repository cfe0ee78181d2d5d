package main

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginsession/ginsession"
)

// keysCost is what a session with many keys costs.
type keysCost struct {
	Keys   int
	Record int // bytes
	Reads  []*job
	Writes []*job // by place: keysPlaces
}

// keysPlaces are where the session is kept. nil options mean that Memcached is
// missing.
func keysPlaces(running servers) (names []string, opts []func(*mapStore) ginsession.Option) {
	names = append(names, "memory")
	opts = append(opts, func(m *mapStore) ginsession.Option { return ginsession.WithStore(m) })
	if p := running[memcachedServer]; p != nil {
		names = append(names, inMemcached)
		opts = append(opts, func(*mapStore) ginsession.Option { return ginsession.WithMemcached(p.addr) })
	}
	return names, opts
}

// measureKeys measures the loading of a session with more and more keys to
// read one, and to change one and save.
func measureKeys(m method, running servers) (places []string, costs []*keysCost, err error) {
	places, opts := keysPlaces(running)
	var jobs []*job
	for _, n := range []int{1, 10, 100, 1000} {
		cost := &keysCost{Keys: n}
		for _, opt := range opts {
			store := newMapStore()
			a, err := newKeysApp(n, opt(store))
			if err != nil {
				return nil, nil, err
			}
			read, write, err := keysJobs(a)
			if err != nil {
				return nil, nil, err
			}
			for _, r := range store.records {
				cost.Record = len(r.Data)
			}
			cost.Reads, cost.Writes = append(cost.Reads, read), append(cost.Writes, write)
			jobs = append(jobs, read, write)
		}
		costs = append(costs, cost)
	}
	return places, costs, m.measureWith(running, jobs)
}

func keysJobs(a app) (read, write *job, err error) {
	session, err := follow(a, pathLogin, "")
	if err != nil {
		return nil, nil, err
	}
	r := &walk{steps: []exchange{a.prepare(pathRead, session)}}
	w := &walk{steps: []exchange{a.prepare(pathWrite, session)}}
	return &job{run: r.run, check: r.err}, &job{run: w.run, check: w.err}, nil
}

func newKeysApp(n int, opt ginsession.Option) (app, error) {
	h, err := ginsession.New(secret, opt)
	if err != nil {
		return nil, err
	}
	r := newEngine()
	r.Use(h)
	r.GET(pathLogin, route(func(c *gin.Context) error {
		for i := range n {
			ginsession.From(c).Set(fmt.Sprintf("key%04d", i), strings.Repeat("v", 20))
		}
		ginsession.From(c).Set(keyCounter, 0)
		return nil
	}))
	r.GET(pathRead, route(func(c *gin.Context) error {
		if ginsession.From(c).GetString("key0000") == "" {
			return errWrong
		}
		return nil
	}))
	r.GET(pathWrite, route(func(c *gin.Context) error {
		s := ginsession.From(c)
		s.Set(keyCounter, s.GetInt(keyCounter)+1)
		return nil
	}))
	return httpApp{r}, nil
}

// bodyCost is what a response body costs, by the size of the body.
type bodyCost struct {
	Size  int
	Bare  *job // gin alone
	Held  *job // with a session that is saved
	Flush *job // with a session that is saved, and flushed first
}

const (
	pathBody  = "/body"
	pathFlush = "/flush"
	piece     = 16 << 10 // bytes that a handler writes at once
)

// measureBodies measures what holding a response back costs.
func measureBodies(m method) ([]*bodyCost, error) {
	h, err := ginsession.New(secret)
	if err != nil {
		return nil, err
	}
	var costs []*bodyCost
	var jobs []*job
	for _, size := range []int{1 << 10, 16 << 10, 60 << 10, 256 << 10, 1 << 20, 4 << 20} {
		bare, saved := newEngine(), newEngine()
		saved.Use(h, func(c *gin.Context) { ginsession.From(c).Set(keyUser, userID) })
		for _, r := range []*gin.Engine{bare, saved} {
			r.GET(pathBody, func(c *gin.Context) { writeBody(c, size) })
			r.GET(pathFlush, func(c *gin.Context) {
				c.Writer.Flush()
				writeBody(c, size)
			})
		}
		cost := &bodyCost{size, bodyJob(bare, pathBody, size), bodyJob(saved, pathBody, size), bodyJob(saved, pathFlush, size)}
		costs, jobs = append(costs, cost), append(jobs, cost.Bare, cost.Held, cost.Flush)
	}
	return costs, m.measureAlone(jobs)
}

var pieceText = []byte(strings.Repeat("0123456789abcde\n", piece/16))

func writeBody(c *gin.Context, size int) {
	for ; size > 0; size -= piece {
		_, _ = c.Writer.Write(pieceText[:min(size, piece)]) // into memory
	}
}

func bodyJob(h http.Handler, path string, size int) *job {
	e := httpApp{h}.prepare(path, "").(*httpExchange)
	short := false
	return &job{
		run: func() {
			e.send()
			short = short || e.w.size != size
		},
		check: func() error {
			if short {
				return fmt.Errorf("a body of %d bytes did not come whole", size)
			}
			return nil
		},
	}
}

// parallelRate is how many requests per second one process answers.
type parallelRate struct {
	Shape *shape
	Rates map[int][]float64 // by the number of cores
}

func (p *parallelRate) Rate(cores int) float64 { return median(p.Rates[cores]) }

// measureParallel compares one core with two.
func measureParallel(rounds int, slice time.Duration) ([]*parallelRate, error) {
	a, err := newOurs()
	if err != nil {
		return nil, err
	}
	var all []*parallelRate
	for _, name := range []string{"read", "write"} {
		all = append(all, &parallelRate{findShape(name), map[int][]float64{}})
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for range rounds {
		for _, p := range all {
			for cores := 1; cores <= min(2, runtime.NumCPU()); cores++ {
				runtime.GOMAXPROCS(cores)
				runtime.GC()
				rate, err := rateOn(cores, slice, a, p.Shape)
				if err != nil {
					return nil, err
				}
				p.Rates[cores] = append(p.Rates[cores], rate)
			}
		}
	}
	return all, nil
}

func rateOn(cores int, slice time.Duration, a app, s *shape) (float64, error) {
	counts := make([]int, cores)
	errs := make([]error, cores)
	var done sync.WaitGroup
	for i := range cores {
		w, err := s.start(a)
		if err != nil {
			return 0, err
		}
		done.Go(func() {
			for end := time.Now().Add(slice); time.Now().Before(end); counts[i] += 100 {
				for range 100 {
					w.run()
				}
			}
			errs[i] = w.err()
		})
	}
	done.Wait()
	total := 0
	for i, n := range counts {
		if errs[i] != nil {
			return 0, errs[i]
		}
		total += n
	}
	return float64(total) / slice.Seconds(), nil
}

// heap is what is in use after so many requests, in bytes, garbage collected.
type heap struct {
	Variant *variant
	After   []int // requests
	Bytes   []uint64
}

// measureHeap lets a process answer many requests of all shapes.
func measureHeap(running servers, requests int) (all []*heap, err error) {
	for _, id := range []string{"cookie", "memcached"} {
		v, err := findVariant(id)
		if err != nil {
			return nil, err
		}
		if _, ok := running.addr(v); !ok {
			continue
		}
		h, err := heapOf(running, v, requests)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

func heapOf(running servers, v *variant, requests int) (*heap, error) {
	a, err := running.open(v)
	if err != nil {
		return nil, err
	}
	var walks []*walk
	perTurn := 0
	for i := range shapes {
		w, err := shapes[i].start(a)
		if err != nil {
			return nil, err
		}
		walks, perTurn = append(walks, w), perTurn+len(w.steps)
	}
	h := &heap{Variant: v}
	turns := func(n int) {
		for done := 0; done < n; done += perTurn {
			for _, w := range walks {
				w.run()
			}
		}
	}
	turns(1000) // pools and maps get their size
	const marks = 4
	for i := range marks + 1 {
		h.After, h.Bytes = append(h.After, i*requests/marks), append(h.Bytes, heapInUse())
		if i < marks {
			turns(requests / marks)
		}
	}
	for _, w := range walks {
		if err := w.err(); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what pools still held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
