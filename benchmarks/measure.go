package main

import (
	"cmp"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// A job is something to measure.
type job struct {
	before func() // each round, or nil; not timed
	run    func()
	check  func() error // whether all runs did what they should, or nil
	times  []float64    // per run, in nanoseconds, one of each round
	allocs float64      // per run
}

// method says how jobs are measured.
type method struct {
	Rounds int
	Slice  time.Duration // of each job in each round
	counts int           // of runs whose allocations are counted; 0 means 200
	watch  stopwatch     // nil counts the wall's time
}

// measure runs all jobs in rounds, in another order each time, so that what
// else the machine does hits all alike.
func (m method) measure(jobs []*job) error {
	counts := make(map[*job]int, len(jobs))
	for _, j := range jobs {
		counts[j] = m.calibrate(j)
		j.allocs = testing.AllocsPerRun(cmp.Or(m.counts, 200), j.run)
	}
	order := slices.Clone(jobs)
	for range m.Rounds {
		rand.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] }) //nolint:gosec // an order is no secret
		for _, j := range order {
			if j.before != nil {
				j.before()
			}
			runtime.GC() // the garbage of another job
			j.times = append(j.times, m.timed(j.run, counts[j]))
		}
	}
	for _, j := range jobs {
		if j.check != nil {
			if err := j.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// calibrate finds how many runs take about a slice.
func (m method) calibrate(j *job) int {
	for n := 1; ; n *= 2 {
		if took := m.timed(j.run, n) * float64(n); took > float64(m.Slice)/4 {
			return max(1, int(float64(n)*float64(m.Slice)/took))
		}
	}
}

func (m method) timed(run func(), n int) (nanoseconds float64) {
	start := m.watch
	if start == nil {
		start = wallTime
	}
	elapsed := start()
	for range n {
		run()
	}
	return float64(elapsed()) / float64(n)
}

// A stopwatch is started, and then tells how much time has gone by.
type stopwatch func() (elapsed func() time.Duration)

func wallTime() (elapsed func() time.Duration) {
	begin := time.Now()
	return func() time.Duration { return time.Since(begin) }
}

// ns is the median of all rounds.
func (j *job) ns() float64 { return median(j.times) }

// median is the middle one, or the mean of the middle two; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// measureAlone measures jobs that need nobody else: the processor time of this
// process, which has one core for Go.
func (m method) measureAlone(jobs []*job) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	m.watch = processTime
	return m.measure(jobs)
}

// measureWith measures jobs that need servers: the processor time of this
// process and theirs, on one core. A core that idles while it waits for the
// other's answer takes its time to wake up, on a virtual machine longer than
// the answer itself; on one core there is always something to do, and what is
// left is the work of both. Go has to know that there is one: else its
// scheduler spins on it while it waits for more work.
func (m method) measureWith(running servers, jobs []*job) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	unpin, err := pin(running)
	if err != nil {
		return err
	}
	defer unpin()
	m.watch = running.time
	return m.measure(jobs)
}
