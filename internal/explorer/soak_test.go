//go:build soak

package explorer_test

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

var (
	duration = flag.Duration("explorer.duration", 10*time.Minute, "how long TestSoakExplorer takes at most; 0: to the end of the exhaustive part")
	seed     = flag.Uint64("explorer.seed", 0, "of the random part of TestSoakExplorer; 0: by the clock")
)

// TestSoakExplorer plays, in each config and start state, two requests with at
// most one fault, then with two, and three requests at random.
func TestSoakExplorer(t *testing.T) {
	began, total := time.Now(), newFindings()
	if *seed == 0 {
		*seed = uint64(began.UnixNano())
	}
	t.Logf("-explorer.seed %d", *seed)
	for _, st := range []struct {
		name string
		part float64 // of the duration; what is left over goes to the next
		play stage
	}{
		{"one fault", 0.4, (*findings).oneFault},
		{"two faults", 0.8, (*findings).twoFaults},
		{"three requests", 1, (*findings).threeRequests},
	} {
		until := began.Add(time.Duration(st.part * float64(*duration)))
		found, started := newFindings(), time.Now()
		complete := found.inAll(t, st.name, until, st.play)
		t.Logf("%s: %d schedules in %v, complete: %t", st.name, found.schedules, time.Since(started).Round(time.Second), complete)
		total.add(found)
	}
	total.report(t, time.Since(began))
}

type stage func(f *findings, w *world, start string, r *rand.Rand, expired func() bool)

// inAll plays a stage in each config and start state, in parallel: each has an
// equal part of the time that is left. It reports whether all came to their end.
func (f *findings) inAll(t *testing.T, name string, until time.Time, play stage) bool {
	var cut atomic.Bool
	t.Run(name, func(t *testing.T) {
		var left atomic.Int64
		left.Store(int64(len(configs) * len(startNames)))
		for i, c := range configs {
			for j, start := range startNames {
				t.Run(c.name+" "+start, func(t *testing.T) {
					t.Parallel()
					var expired atomic.Bool // the bubble's clock is another
					if *duration > 0 {
						share := time.Until(until) * time.Duration(runtime.GOMAXPROCS(0)) / time.Duration(left.Load())
						defer time.AfterFunc(min(share, time.Until(until)), func() { expired.Store(true) }).Stop()
					}
					found := newFindings()
					r := rand.New(rand.NewPCG(*seed, uint64(100*i+j)))
					inBubble(t, c, func(w *world) { play(found, w, start, r, expired.Load) })
					f.add(found)
					left.Add(-1)
					if expired.Load() {
						cut.Store(true)
					}
				})
			}
		}
	})
	return !cut.Load()
}

func (f *findings) oneFault(w *world, start string, _ *rand.Rand, expired func() bool) {
	s := scenario{config: w.name, start: start, faults: 1, prune: true, mode: parallel}
	unlike := len(w.engines) > 1 // the servers may differ
	for _, s.programs = range pairs(all) {
		f.every(w, s, expired)
		if unlike {
			f.every(w, s.swapped(), expired)
		}
	}
	s.mode = inTurn
	for _, s.programs = range ordered(all) {
		f.every(w, s, expired)
	}
}

func (s scenario) swapped() scenario {
	s.programs = []program{s.programs[1], s.programs[0]}
	return s
}

// twoFaults plays the pairs in random order: there may be no time for all.
func (f *findings) twoFaults(w *world, start string, r *rand.Rand, expired func() bool) {
	s := scenario{config: w.name, start: start, faults: 2, prune: true, mode: parallel}
	drawn := pairs(all)
	r.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	for _, s.programs = range drawn {
		f.every(w, s, expired)
	}
}

// threeRequests plays at random, also when requests begin and responses arrive.
func (f *findings) threeRequests(w *world, start string, r *rand.Rand, expired func() bool) {
	for n := 0; !expired() && (*duration > 0 || n < 20000); n++ {
		s := scenario{config: w.name, start: start, faults: r.IntN(3), mode: free}
		for range maxRequests {
			s.programs = append(s.programs, all[r.IntN(len(all))])
		}
		var p path
		if run := w.play(s, p.random(r)); run != nil {
			f.judge(run, p.choices)
		}
	}
}
