package main

import (
	"strings"
	"testing"
	"time"
)

func TestMicro(t *testing.T) {
	for us, want := range map[float64]string{0.0612: "0.06", 2.955: "2.96", 27.24: "27.2", 155.4: "155", 1462.7: "1,463"} {
		if got := micro(us); got != want {
			t.Errorf("micro(%v) = %q, want %q", us, got, want)
		}
	}
}

func TestFactor(t *testing.T) {
	for times, want := range map[float64]string{0.96: "1.0×", 2.649: "2.6×", 9.94: "9.9×", 9.96: "10×", 23.4: "23×"} {
		if got := factor(times); got != want {
			t.Errorf("factor(%v) = %q, want %q", times, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 100000: "100,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%v) = %q, want %q", n, got, want)
		}
	}
}

func TestProgramVersion(t *testing.T) {
	for line, want := range map[string]string{
		"memcached 1.6.18": "memcached 1.6.18",
		"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1": "Redis 7.0.15",
		"wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer":               "wrk 4.1.0-3+b2",
	} {
		if got := programVersion(line); got != want {
			t.Errorf("programVersion(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestPseudoDate(t *testing.T) {
	for version, want := range map[string]string{"v0.0.0-20260422231931-4d751bb6e37c": "2026-04-22", "v1.2.3": "v1.2.3"} {
		if got := pseudoDate(version); got != want {
			t.Errorf("pseudoDate(%q) = %q, want %q", version, got, want)
		}
	}
}

func TestWrkRate(t *testing.T) {
	rate, err := wrkRate("  32 threads\nRequests/sec:  12345.67\nTransfer/sec:      1.86MB\n")
	if rate != 12345.67 || err != nil {
		t.Errorf("got %v, %v", rate, err)
	}
	for _, out := range []string{"", "Requests/sec:  10\n  Non-2xx or 3xx responses: 10\n", "Socket errors: connect 1\nRequests/sec: 10\n"} {
		if rate, err := wrkRate(out); err == nil {
			t.Errorf("%q: got %v, want an error", out, rate)
		}
	}
}

func TestUsedChunks(t *testing.T) {
	slabs := map[string]int64{"5:chunk_size": 240, "5:used_chunks": 10, "5:free_chunks": 900, "9:chunk_size": 600, "9:used_chunks": 2, "total_malloced": 1 << 20}
	if got := usedChunks(slabs); got != 3600 {
		t.Errorf("got %d, want 3600", got)
	}
}

func TestReplacePart(t *testing.T) {
	got, err := replacePart("before\n"+readmeBegin+"old\n"+readmeEnd+"after\n", "new\n")
	if want := "before\n" + readmeBegin + "new\n" + readmeEnd + "after\n"; got != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, whole := range []string{"", readmeBegin, "x\n" + readmeEnd} {
		if _, err := replacePart(whole, "new\n"); err == nil {
			t.Errorf("%q: no error", whole)
		}
	}
}

// TestReport_render fills both templates with a report of round figures.
func TestReport_render(t *testing.T) {
	text := renderTest(t, reportText)
	for _, want := range []string{
		"| ginsession, encrypted cookie | 10.0 (5) **20×** | 10.0 (5) **20×** |",
		"| gin-contrib/sessions, Redis | 200 (5) | 200 (5) |",
		"| gin, no session | 200 (5) |  |",
		"| read | 10.0 | 8.00 (`Get`) | 1.25× |",
		"| ginsession, encrypted cookie, read | 80,000 | 80 % | 4.0× |",
		"| ginsession, Memcached | 75 | 244 |",
		"| ginsession, Memcached | 100,000 | 354 | 384 |",
		"| 1,000 | 31,066 | 2.00 (7) | 4.00 (9) |",
		"| 64 KiB | 1.00 | 3.00 | 2.00 |",
		"| read | 100,000 | 190,000 | 1.9× |",
		"| ginsession, encrypted cookie | 2,048 | 2,048 |",
		"want of a server: redis-server.",
		"- ginsession, Flask's cookie, read: 300 µs; gin-contrib/sessions 200, gorilla/sessions 200, alexedwards/scs 200, Fiber 200\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line with %q in\n%s", want, text)
		}
	}
	if !strings.Contains(text, "| gin alone | 0.10 |\n") {
		t.Errorf("no parts of a read in\n%s", text)
	}
	if strings.Contains(text, " \n") || strings.Contains(text, "<no value>") {
		t.Error("a line ends with a space, or a value is missing")
	}
	if readme := renderTest(t, readmeText); !strings.Contains(readme, "| encrypted cookie | 20× (10.0 µs) | 20× (10.0 µs) |") {
		t.Errorf("README:\n%s", readme)
	}
}

// TestChecklist wants a goal met exactly, and another one missed.
func TestChecklist(t *testing.T) {
	var b strings.Builder
	checklist{&b}.print(testReport(t))
	for _, want := range []string{
		"met     ginsession, encrypted cookie, read: 20.0 times as fast",
		"met     ginsession, encrypted cookie, read: 5 allocations, at most 6",
		"MISSED  ginsession, encrypted cookie, untouched: 5 allocations, at most 3",
		"met     Memcached, read: 1.25×",
		"met     a whole server reading cookies: 80 %",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func renderTest(t *testing.T, text string) string {
	t.Helper()
	got, err := testReport(t).render(text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func testReport(t *testing.T) *report {
	t.Helper()
	cookie, memcached := mustFind(t, "cookie"), mustFind(t, "memcached")
	us := func(us, allocs float64) *job { return &job{times: []float64{us * 1000}, allocs: allocs} }
	return &report{
		Env: &environment{Date: "2026-01-02", Cores: 2}, Method: method{Rounds: 3, Slice: time.Second}, Rounds: 5, Slice: time.Second,
		Table:   testTable(),
		Parts:   []*part{{"gin alone", us(0.1, 0)}},
		Client:  []*comparison{{"read", "`Get`", 10, 8}},
		Trips:   []roundTrips{{memcached, []float64{0, 1, 2, 1, 4}}},
		Missing: []string{redisServer},
		Loads: []*load{
			{Variant: mustFind(t, "bare"), Path: pathUntouched, rates: []float64{100_000}},
			{Variant: cookie, Path: pathRead, rates: []float64{70_000, 80_000, 90_000}},
			{Variant: mustFind(t, "contrib-cookie"), Path: pathRead, rates: []float64{20_000}},
		},
		Sizes:    []size{{memcached, 75, 244}},
		Memory:   []memory{{memcached, 100_000, 354, 384}},
		Places:   []string{"memory"},
		Keys:     []*keysCost{{1000, 31066, []*job{us(2, 7)}, []*job{us(4, 9)}}},
		Bodies:   []*bodyCost{{64 << 10, us(1, 0), us(3, 0), us(2, 0)}},
		Parallel: []*parallelRate{{findShape("read"), map[int][]float64{1: {100_000}, 2: {190_000}}}},
		Heaps:    []*heap{{cookie, []int{0, 1000}, []uint64{2 << 20, 2 << 20}}},
	}
}

func mustFind(t *testing.T, id string) *variant {
	t.Helper()
	v, err := findVariant(id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
