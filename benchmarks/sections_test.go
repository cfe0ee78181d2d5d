package main

import (
	"testing"
	"time"
)

// short is enough to see that something is measured.
var short = method{Rounds: 1, Slice: time.Microsecond, counts: 5}

func TestMeasureShapes(t *testing.T) {
	table, err := measureShapes(short, startMemcached(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range table.rows {
		for i := range shapes {
			if c, ok := table.at(v, &shapes[i]); ok != v.has(&shapes[i]) || ok && c.us <= 0 {
				t.Errorf("%s, %s: got %v, %v", v.row(), shapes[i].name, c.us, ok)
			}
		}
	}
}

// TestMeasureParts wants every step measured. A step that does not do its work
// is an error.
func TestMeasureParts(t *testing.T) {
	parts, err := measureParts(short)
	if err != nil || len(parts) != 6 {
		t.Fatalf("got %v, %v", parts, err)
	}
	for _, p := range parts {
		if p.Micro() <= 0 {
			t.Errorf("%s: got %v µs", p.About, p.Micro())
		}
	}
}

func TestCompareClient(t *testing.T) {
	client, err := compareClient(short, startMemcached(t))
	if err != nil || len(client) != 2 || client[0].Ours <= 0 || client[1].Bare <= 0 {
		t.Errorf("got %v, %v", client, err)
	}
}

// TestCountRoundTrips wants one to load and one to save, and a PING before each
// from who sends them.
func TestCountRoundTrips(t *testing.T) {
	trips, err := countRoundTrips(startMemcached(t))
	if err != nil || len(trips) < 2 {
		t.Fatalf("got %v, %v", trips, err)
	}
	for _, trip := range trips {
		each := 1.0
		if trip.Variant.id == "contrib-redis" {
			each = 2
		}
		for i, want := range []float64{0, 1, 2, 1, 4} {
			if trip.Asked[i] != each*want {
				t.Errorf("%s, %s: got %v round trips, want %v", trip.Variant.row(), shapes[i].name, trip.Asked[i], each*want)
			}
		}
	}
}

func TestMeasureSizes(t *testing.T) {
	sizes, err := measureSizes(startMemcached(t))
	if err != nil {
		t.Fatal(err)
	}
	least := len(userName) + len(token) + len(flashText)
	for _, s := range sizes {
		if s.Cookie == 0 || (s.Record == 0) != (s.Variant.server == "") || s.Record > 0 && s.Record < least {
			t.Errorf("%s: got a cookie of %d bytes and a record of %d", s.Variant.row(), s.Cookie, s.Record)
		}
	}
}

func TestMeasureMemory(t *testing.T) {
	many, err := measureMemory(startMemcached(t), 100)
	if err != nil || len(many) < 2 {
		t.Fatalf("got %v, %v", many, err)
	}
	for _, m := range many {
		if m.Sessions != 100 || m.All <= 200 || m.All < m.Items {
			t.Errorf("%s: got %v bytes a session, %v in all", m.Variant.row(), m.Items, m.All)
		}
	}
}

func TestMeasureGrowth(t *testing.T) {
	places, keys, err := measureKeys(short, startMemcached(t))
	if err != nil || len(places) != 2 || len(keys) != 4 || keys[3].Record < 1000*20 {
		t.Errorf("keys: got %v, %d sizes, %v", places, len(keys), err)
	}
	if bodies, err := measureBodies(short); err != nil || len(bodies) == 0 {
		t.Errorf("bodies: got %d, %v", len(bodies), err)
	}
	if rates, err := measureParallel(1, time.Millisecond); err != nil || len(rates) != 2 || rates[0].Rate(1) <= 0 {
		t.Errorf("parallel: got %v, %v", rates, err)
	}
}

func TestMeasureHeap(t *testing.T) {
	heaps, err := measureHeap(startMemcached(t), 4000)
	if err != nil || len(heaps) != 2 {
		t.Fatalf("got %v, %v", heaps, err)
	}
	for _, h := range heaps {
		if len(h.Bytes) != 5 || h.After[4] != 4000 || h.Bytes[4] > h.Bytes[0]+1<<20 {
			t.Errorf("%s: after %v requests %v bytes of heap", h.Variant.row(), h.After, h.Bytes)
		}
	}
}

// startMemcached is startForTest for what makes no sense without Memcached.
func startMemcached(t *testing.T) servers {
	t.Helper()
	running := startForTest(t)
	openForTest(t, running, mustFind(t, "memcached"))
	return running
}
