package main

import (
	"errors"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 100, 2}, 3},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.values, got, test.want)
		}
	}
}

// TestMeasure wants every job measured in every round, its allocations counted
// exactly, and its failure noticed.
func TestMeasure(t *testing.T) {
	var kept [][]byte
	lazy := &job{run: func() {}}
	busy := &job{run: func() { kept = [][]byte{make([]byte, 64), make([]byte, 64)} }}
	if err := (method{Rounds: 4, Slice: time.Microsecond}).measure([]*job{lazy, busy}); err != nil {
		t.Fatal(err)
	}
	if len(lazy.times) != 4 || len(busy.times) != 4 {
		t.Errorf("got %d and %d rounds, want 4", len(lazy.times), len(busy.times))
	}
	if lazy.allocs != 0 || busy.allocs != 3 {
		t.Errorf("got %v and %v allocations, want 0 and 3", lazy.allocs, busy.allocs)
	}
	failed := errors.New("failed")
	bad := &job{run: func() {}, check: func() error { return failed }}
	if err := (method{Rounds: 1, Slice: time.Microsecond}).measure([]*job{bad}); !errors.Is(err, failed) {
		t.Errorf("got %v, want the job's failure", err)
	}
	_ = kept
}
