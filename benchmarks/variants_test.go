package main

import (
	"os"
	"os/exec"
	"testing"
)

// TestVariants wants every variant to do what every shape says, and then to do
// it again and again.
func TestVariants(t *testing.T) {
	running := startForTest(t)
	for _, v := range variants {
		t.Run(v.id, func(t *testing.T) {
			a := openForTest(t, running, v)
			for i := range shapes {
				if s := &shapes[i]; v.has(s) {
					testShape(t, a, s, v)
				}
			}
		})
	}
}

func testShape(t *testing.T, a app, s *shape, v *variant) {
	t.Helper()
	w, err := v.walk(a, s)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		w.run()
	}
	if err := w.err(); err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
}

// startForTest runs the servers until the test ends.
func startForTest(tb testing.TB) servers {
	tb.Helper()
	running, missing, err := startServers()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(running.stop)
	for _, program := range missing {
		tb.Logf("%s is missing", program)
	}
	return running
}

func openForTest(tb testing.TB, running servers, v *variant) app {
	tb.Helper()
	if _, ok := running.addr(v); !ok {
		if _, err := exec.LookPath(v.server); err != nil && os.Getenv("CI") == "true" && v.server == memcachedServer {
			tb.Fatal("memcached is missing: make test installs it")
		}
		tb.Skipf("%s is missing", v.server)
	}
	a, err := running.open(v)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// BenchmarkSessions measures each variant and shape by itself. For a fair
// comparison run the program: it takes turns.
func BenchmarkSessions(b *testing.B) {
	running := startForTest(b)
	for _, v := range variants {
		b.Run(v.id, func(b *testing.B) {
			a := openForTest(b, running, v)
			for i := range shapes {
				if s := &shapes[i]; v.has(s) {
					b.Run(s.name, func(b *testing.B) { benchmarkShape(b, a, s, v) })
				}
			}
		})
	}
}

func benchmarkShape(b *testing.B, a app, s *shape, v *variant) {
	w, err := v.walk(a, s)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.run()
	}
	if err := w.err(); err != nil {
		b.Fatal(err)
	}
}
