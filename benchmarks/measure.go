package main

import (
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
}

// measure runs all jobs in rounds, in another order each time, so that what
// else the machine does hits all alike.
func (m method) measure(jobs []*job) error {
	counts := make(map[*job]int, len(jobs))
	for _, j := range jobs {
		counts[j] = m.calibrate(j)
		j.allocs = testing.AllocsPerRun(200, j.run)
	}
	order := slices.Clone(jobs)
	for range m.Rounds {
		rand.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] }) //nolint:gosec // an order is no secret
		for _, j := range order {
			if j.before != nil {
				j.before()
			}
			runtime.GC() // the garbage of another job
			j.times = append(j.times, timed(j.run, counts[j]))
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
		if took := timed(j.run, n) * float64(n); took > float64(m.Slice)/4 {
			return max(1, int(float64(n)*float64(m.Slice)/took))
		}
	}
}

func timed(run func(), n int) (nanoseconds float64) {
	begin := time.Now()
	for range n {
		run()
	}
	return float64(time.Since(begin)) / float64(n)
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

// onOneCore runs fn as if the machine had one core for Go, so that the garbage
// collector's work is counted too.
func onOneCore(fn func() error) error {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	return fn()
}
