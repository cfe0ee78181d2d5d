package ginsession

import "github.com/bradfitz/gomemcache/memcache"

// Doors to the inside, for tests only.

func NewMemcachedStore(servers ...string) Store {
	return newMemcachedStore(defaultKeyPrefix, servers)
}

func NewMemcachedClientStore(c *memcache.Client) Store {
	return newMemcachedClientStore(defaultKeyPrefix, c)
}
