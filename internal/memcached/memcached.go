// Package memcached keeps session records in Memcached: keys, expiry,
// compare-and-swap, retries, a circuit breaker and the choice of a server.
package memcached

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ginsession/ginsession/internal/recordstore"
	"github.com/ginsession/ginsession/internal/sessionerr"
)

const (
	// DefaultKeyPrefix is that of the items' keys.
	DefaultKeyPrefix = "session:"

	// timeout bounds one dialling, and one exchange, with a server.
	timeout = 500 * time.Millisecond

	// idle is how many idle connections are kept to each server.
	idle = 100

	// maxRecord is what surely fits into an item of 1 MiB, the
	// server's default limit, which counts the key and a header too.
	maxRecord = 1<<20 - 1024

	// tries bounds how often an exchange is tried in all: its connection may be
	// dead, as all idle ones are after a restart.
	tries = 4
)

// Store keeps each record in an item of its own, on the server that
// its id is assigned to. It never asks another: a server that comes back from
// an outage would bring logged-out sessions back.
type Store struct {
	prefix  string
	servers []*server
}

// New uses a client for each server, so that dropping one's dead
// connections leaves those to the others alone.
func New(prefix string, servers []string) *Store {
	m := &Store{prefix: prefix}
	for _, name := range servers {
		client := memcache.NewFromSelector(oneServer{addressOf(name)})
		client.Timeout = timeout
		client.MaxIdleConns = idle
		client.DialContext = dialGuarded
		m.servers = append(m.servers, &server{client: client, seed: hash(name)})
	}
	return m
}

// NewClient leaves everything about servers to the client.
func NewClient(prefix string, client *memcache.Client) *Store {
	return &Store{prefix: prefix, servers: []*server{{client: client}}}
}

// Load implements [Store].
func (m *Store) Load(ctx context.Context, id string) (recordstore.Record, error) {
	if err := ctx.Err(); err != nil {
		return recordstore.Record{}, err
	}
	item, err := m.serverFor(id).get(m.prefix + id)
	if err != nil {
		return recordstore.Record{}, err
	}
	return recordstore.Record{Data: item.Value, Version: item.CasID}, nil
}

// Save implements [Store].
func (m *Store) Save(ctx context.Context, id string, r recordstore.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(r.Data) > maxRecord {
		return fmt.Errorf("%w: its record has %d bytes, and Memcached takes no more than %d; keep less in it",
			sessionerr.ErrTooLarge, len(r.Data), maxRecord)
	}
	item := &memcache.Item{Key: m.prefix + id, Value: r.Data, Expiration: expiration(r.Expires)}
	if r.Version == nil {
		return m.serverFor(id).store((*memcache.Client).Add, item)
	}
	version, ok := r.Version.(uint64)
	if !ok {
		return fmt.Errorf("ginsession: a version of type %T is not one that Memcached gave", r.Version)
	}
	item.CasID = version
	return m.serverFor(id).store((*memcache.Client).CompareAndSwap, item)
}

// Delete implements [Store].
func (m *Store) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.serverFor(id).delete(m.prefix + id)
}

// serverFor is rendezvous hashing: each server gives every id a score, and the
// highest has it. A server that joins or leaves moves only its own share of
// the sessions.
func (m *Store) serverFor(id string) *server {
	best, top := m.servers[0], uint64(0)
	if len(m.servers) == 1 {
		return best
	}
	key := hash(id)
	for _, s := range m.servers {
		if score := mix(key ^ s.seed); score >= top {
			best, top = s, score
		}
	}
	return best
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s)
	return mix(h.Sum64())
}

// mix spreads each bit over all (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// expiration encodes a time as the protocol wants it: up to 30 days as seconds
// from now, beyond as Unix time. The server counts whole seconds of a clock of
// its own, which lags on a busy machine; with two seconds more no record goes
// before its time. The exact end is in the record.
func expiration(t time.Time) int32 {
	const (
		maxRelative = 30 * 24 * 60 * 60
		more        = 2
	)
	left := int64(max(time.Until(t), 0)/time.Second) + 1 + more // rounded up
	if left > maxRelative {
		return int32(min(t.Unix()+1+more, math.MaxInt32)) // until 2038
	}
	return int32(left)
}
