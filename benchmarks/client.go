package main

import (
	"bytes"
	"fmt"

	"github.com/bradfitz/gomemcache/memcache"
)

// A comparison is ginsession on Memcached beside its client alone.
type comparison struct {
	About  string // "read", "write"
	Beside string // what the bare client does
	Ours   float64
	Bare   float64 // both in microseconds
}

func (c *comparison) Ratio() float64 { return c.Ours / c.Bare }

// compareClient measures whole requests with ginsession beside what they ask
// of the server, done by the same client with no session and no gin.
func compareClient(m method, running servers) ([]*comparison, error) {
	v, err := findVariant("memcached")
	if err != nil {
		return nil, err
	}
	addr, ok := running.addr(v)
	if !ok {
		return nil, nil
	}
	_, record, err := sizesOf(v)
	if err != nil {
		return nil, err
	}
	all := []*comparison{{About: "read", Beside: "`Get`"}, {About: "write", Beside: "`Get` and `CompareAndSwap`"}}
	ours, bare := make([]job, len(all)), make([]job, len(all))
	for range pairs {
		if err := m.comparePair(running, v, addr, record, all, ours, bare); err != nil {
			return nil, err
		}
	}
	for i, c := range all {
		c.Ours, c.Bare = ours[i].ns()/1000, bare[i].ns()/1000
	}
	return all, nil
}

// pairs is how often both begin anew: the server gives each connection to one of
// its threads, and it stays there, be the thread near or far.
const pairs = 10

// comparePair adds the times of a new app and a new bare client.
func (m method) comparePair(running servers, v *variant, addr string, record int, all []*comparison, ours, bare []job) error {
	a, err := running.open(v)
	if err != nil {
		return err
	}
	client, err := newBareClient(addr, record)
	if err != nil {
		return err
	}
	jobs := []*job{{run: client.get, check: client.err}, {run: client.swap, check: client.err}}
	for _, c := range all {
		w, err := v.walk(a, findShape(c.About))
		if err != nil {
			return err
		}
		jobs = append(jobs, &job{run: w.run, check: w.err})
	}
	m.Rounds = max(m.Rounds/5, 1) // of each pair
	if err := m.measureWith(running, jobs); err != nil {
		return err
	}
	for i := range all {
		bare[i].times = append(bare[i].times, jobs[i].times...)
		ours[i].times = append(ours[i].times, jobs[len(all)+i].times...)
	}
	return nil
}

// bareClient does with a record of the same size under a key of the same
// length what a request does.
type bareClient struct {
	client *memcache.Client
	key    string
	failed error
}

func newBareClient(addr string, record int) (*bareClient, error) {
	b := &bareClient{client: memcache.New(addr), key: fmt.Sprintf("session:%043d", 1)}
	return b, b.client.Set(&memcache.Item{Key: b.key, Value: bytes.Repeat([]byte("x"), record)})
}

func (b *bareClient) get() {
	if _, err := b.client.Get(b.key); err != nil {
		b.failed = err
	}
}

func (b *bareClient) swap() {
	item, err := b.client.Get(b.key)
	if err == nil {
		err = b.client.CompareAndSwap(item)
	}
	if err != nil {
		b.failed = err
	}
}

func (b *bareClient) err() error { return b.failed }

// roundTrips is how often a variant asks its server for each shape, as the
// server counts it.
type roundTrips struct {
	Variant *variant
	Asked   []float64 // by shape
}

func countRoundTrips(running servers) (all []roundTrips, err error) {
	for _, v := range running.available() {
		if v.server == "" {
			continue
		}
		t := roundTrips{Variant: v}
		a, err := running.open(v)
		if err != nil {
			return nil, err
		}
		for i := range shapes {
			asked, err := tripsOf(v, a, &shapes[i], running)
			if err != nil {
				return nil, err
			}
			t.Asked = append(t.Asked, asked)
		}
		all = append(all, t)
	}
	return all, nil
}

func tripsOf(v *variant, a app, s *shape, running servers) (float64, error) {
	const runs = 100
	addr, _ := running.addr(v)
	w, err := v.walk(a, s)
	if err != nil {
		return 0, err
	}
	before, err := asked(v.server, addr)
	if err != nil {
		return 0, err
	}
	for range runs {
		w.run()
	}
	after, err := asked(v.server, addr)
	if err != nil {
		return 0, err
	}
	return float64((after - before) / runs), w.err() // but for the asking
}
