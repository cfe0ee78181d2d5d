package main

import (
	"testing"
	"time"
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
