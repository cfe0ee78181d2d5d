package main

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestProcessTime wants waiting to cost nothing, and work something.
func TestProcessTime(t *testing.T) {
	elapsed := processTime()
	<-time.After(50 * time.Millisecond)
	if idle := elapsed(); idle > 40*time.Millisecond {
		t.Errorf("50 ms of waiting cost %v", idle)
	}
	elapsed = processTime()
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		continue // busy
	}
	if elapsed() == 0 {
		t.Error("20 ms of work cost nothing")
	}
}

// TestServersTime wants the server's work counted.
func TestServersTime(t *testing.T) {
	running := startMemcached(t)
	a := openForTest(t, running, mustFind(t, "memcached"))
	before := running.clock()
	for range 100 {
		if _, err := logIn(a); err != nil {
			t.Fatal(err)
		}
	}
	if running.clock() <= before {
		t.Error("200 requests cost the server nothing")
	}
}

// TestPin wants every thread on one core, and then on all again.
func TestPin(t *testing.T) {
	running := startMemcached(t)
	unpin, err := pin(running)
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range allThreads(running) {
		if n := cores(t, thread); n != 1 {
			t.Errorf("a thread is pinned to %d cores", n)
		}
	}
	unpin()
	for _, thread := range allThreads(running) {
		if n := cores(t, thread); n != runtime.NumCPU() {
			t.Errorf("a thread may use %d cores of %d", n, runtime.NumCPU())
		}
	}
}

func cores(t *testing.T, thread int) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(thread, &set); err != nil {
		t.Fatal(err)
	}
	return set.Count()
}
