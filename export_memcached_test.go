package ginsession

import (
	"context"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ginsession/ginsession/internal/memcached"
	"github.com/ginsession/ginsession/internal/recordstore"
)

// Doors to the inside, for tests only.

func NewMemcachedStore(servers ...string) Store {
	return publicStore{memcached.New(memcached.DefaultKeyPrefix, servers)}
}

func NewMemcachedClientStore(c *memcache.Client) Store {
	return publicStore{memcached.NewClient(memcached.DefaultKeyPrefix, c)}
}

// publicStore is a store of internal/recordstore as users know it.
type publicStore struct{ recordstore.Store }

func (s publicStore) Load(ctx context.Context, id string) (Record, error) {
	r, err := s.Store.Load(ctx, id)
	return Record(r), err
}

func (s publicStore) Save(ctx context.Context, id string, r Record) error {
	return s.Store.Save(ctx, id, recordstore.Record(r))
}
